/// The mean of some values, and how far they are from it.
package struct Spread: Sendable, Equatable {
  package let mean: Double
  /// The standard deviation (n − 1); nil of a single value.
  package let deviation: Double?

  /// nil of no values.
  package init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    let count = Double(values.count), mean = values.reduce(0, +) / count
    self.mean = mean
    deviation =
      values.count > 1
      ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)).squareRoot() : nil
  }
}
