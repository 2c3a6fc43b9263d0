import Foundation
import Tensors

/// A key of the configuration as a side of the unit cube.
///
///     u = (g(v) − g(a))/(g(b) − g(a)),   g the identity or ln
///
/// for a number v from a to b. Whole numbers are as wide as one: a and b are half a one further out.
package struct SearchDimension: Sendable, Equatable {
  package let key: String
  private let range: SearchRange
  private let isInteger: Bool

  package init(_ key: String, _ range: SearchRange) {
    (self.key, self.range) = (key, range)
    isInteger = Self.type(of: key) == "integer"
  }

  /// What is wrong with a range of this key; nil where nothing is.
  static func problem(_ key: String, _ range: SearchRange) -> String? {
    guard let type = type(of: key) else { return Failure.unknownKey(key).message }
    guard ["integer", "number"].contains(type) else { return "is \(type); a search varies numbers" }
    if key.hasPrefix("model.") || key.hasPrefix("input.") {
      return "a search goes on from checkpoints, whose network and input stay as they are"
    }
    if ["schedule.maxSteps", "schedule.epochs", "seed"].contains(key) { return "is the search's own" }
    if range.from.isNaN || range.to.isNaN { return "from and to are both needed" }
    if range.from >= range.to { return "from is \(range.from); it must be below to, \(range.to)" }
    if range.scale == .log && range.from <= 0 { return "from is \(range.from); it must be above 0 on a log scale" }
    if type == "integer", range.from != range.from.rounded() || range.to != range.to.rounded() {
      return "from and to must be whole numbers"
    }
    return nil
  }

  private static func type(of key: String) -> String? { ConfigurationKey.all.first { $0.path == key }?.type }

  private func g(_ value: Double) -> Double { range.scale == .log ? log(value) : value }
  private var low: Double { g(isInteger ? range.from - 0.5 : range.from) }
  private var high: Double { g(isInteger ? range.to + 0.5 : range.to) }

  /// Of `unit` from 0 to 1: a whole number where the key takes one, else four digits of it.
  package func value(_ unit: Double) -> Double {
    let exact = low + unit * (high - low), value = range.scale == .log ? exp(exact) : exact
    let rounded = isInteger ? value.rounded() : Double(String(format: "%.4g", value)) ?? value
    return min(range.to, max(range.from, rounded))
  }

  package func unit(_ value: Double) -> Double { min(1, max(0, (g(value) - low) / (high - low))) }

  /// As `--set` takes it.
  package func setting(_ value: Double) -> String { "\(key)=\(text(value))" }

  package func text(_ value: Double) -> String { isInteger ? String(format: "%.0f", value) : "\(value)" }
}
