import Foundation

/// Where an axis is marked: multiples of 1, 2 or 5 powers of ten, or the powers of ten and their doubles and fivefolds where it is
/// logarithmic.
package struct Ticks: Sendable, Equatable {
  package let values: [Double]
  /// From one to the next; of a logarithmic axis nil.
  private let step: Double?

  /// - Parameters:
  ///   - range: finite; what the axis has to show at least.
  ///   - count: how many are wanted, about.
  package init(_ range: ClosedRange<Double>, count: Int) {
    let span = range.upperBound - range.lowerBound
    let rough = (span > 0 ? span : max(abs(range.lowerBound), 1)) / Double(max(count, 1))
    let power = pow(10, floor(log10(rough))), factor = [1.0, 2, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10
    let step = factor * power
    // The range goes to whole steps.
    let first = (range.lowerBound / step + 1e-9).rounded(.down), last = (range.upperBound / step - 1e-9).rounded(.up)
    // Multiples, not sums: no error adds up.
    values = (0...Int(max(last - first, 1))).map { (first + Double($0)) * step }
    self.step = step
  }

  /// Whole steps of `range` only within it: for an axis that ends where its values end.
  package init(within range: ClosedRange<Double>, count: Int) {
    let all = Ticks(range, count: count), slack = (range.upperBound - range.lowerBound) * 1e-9
    values = all.values.filter { $0 >= range.lowerBound - slack && $0 <= range.upperBound + slack }
    step = all.step
  }

  /// - Parameter range: above 0.
  package init(logarithmic range: ClosedRange<Double>) {
    let first = Int(floor(log10(range.lowerBound) + 1e-9)), last = Int(ceil(log10(range.upperBound) - 1e-9))
    let factors = last - first > 3 ? [1.0] : [1.0, 2, 5]
    let every = max(1, (last - first + 5) / 6)
    var values: [Double] = []
    for exponent in stride(from: first, through: max(last, first + 1), by: every) {
      values += factors.map { $0 * pow(10, Double(exponent)) }
    }
    // The narrowest that holds the range.
    let low = values.last { $0 <= range.lowerBound * 1.000001 } ?? values[0]
    let high = values.first { $0 >= range.upperBound * 0.999999 } ?? values[values.count - 1]
    self.values = values.filter { $0 >= low && $0 <= high }
    step = nil
  }

  /// Of a mark, with the digits that tell it from its neighbours.
  package func label(_ value: Double, percent: Bool = false) -> String {
    if percent { return Self.plain(value * 100, step: (step ?? value) * 100) + " %" }
    let largest = values.map { abs($0) }.max() ?? 0
    if step == nil || largest > 0 && largest < 0.001 { return Self.scientific(value) }
    if largest >= 10_000 && values.allSatisfy({ $0.remainder(dividingBy: 100) == 0 }) {
      let isMillions = largest >= 1_000_000 && values.allSatisfy { $0.remainder(dividingBy: 10_000) == 0 }
      let scaled = value / (isMillions ? 1e6 : 1e3)
      return value == 0 ? "0" : String(format: "%g", scaled) + (isMillions ? " M" : " k")
    }
    return Self.plain(value, step: step ?? value)
  }

  private static func plain(_ value: Double, step: Double) -> String {
    let digits = step > 0 ? max(0, -Int(floor(log10(step) + 1e-9))) : 0
    return String(format: "%.\(min(digits, 12))f", value == 0 ? 0 : value)
  }

  /// `3.5e-4`
  private static func scientific(_ value: Double) -> String {
    if value == 0 { return "0" }
    let exponent = Int(floor(log10(abs(value)) + 1e-9)), mantissa = value / pow(10, Double(exponent))
    if (-2...3).contains(exponent) { return String(format: "%g", value) }
    return String(format: "%.3g", mantissa) + "e\(exponent)"
  }
}
