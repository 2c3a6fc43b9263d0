import Losses

/// A power of two that gradients (the loss scale) or tangents are computed times, so that small ones survive float16 and
/// large ones do not overflow.
///
/// ×½ on Inf or NaN anywhere on any rank, ×2 after `growthInterval` clean steps. Every rank keeps the same one, as all see
/// the same reduced numbers. Wide storage needs none and keeps what it starts with.
package struct DynamicScale: Codable, Sendable, Equatable {
  package private(set) var scale: Double
  /// Clean steps since the scale last changed.
  package private(set) var cleanSteps = 0
  /// Steps skipped so far, and those in a row up to now.
  package private(set) var skipped = 0
  package var skippedInARow: Int { row ?? 0 }
  /// Absent in states of version 0.1.
  private var row: Int?
  private let growthInterval: Int
  private let isDynamic: Bool

  /// Beyond these a change would only cost skipped steps.
  private static var smallest: Double { 0x1p-14 }
  private static var largest: Double { 0x1p24 }

  package init(initial: Double, growthInterval: Int, isDynamic: Bool) {
    (scale, self.growthInterval, self.isDynamic) = (initial, growthInterval, isDynamic)
  }

  /// The scale of the loss: float16 needs one.
  package init(_ configuration: Configuration) {
    let isDynamic = configuration.precision.storage == .float16
    self.init(
      initial: isDynamic ? configuration.lossScale.initial : 1, growthInterval: configuration.lossScale.growthInterval,
      isDynamic: isDynamic)
  }

  /// The scale of the tangents of a regularizer. Wide storage takes one too, because the grid that sums are rounded to
  /// suits elements about 1; float64 rounds nothing. It grows back soon, because an overflow costs no step.
  package init(tangentsOf regularizer: GradientRegularizer?, _ configuration: Configuration) {
    let storage = configuration.precision.storage
    self.init(
      initial: storage == .float64 ? 1 : regularizer?.initialTangentScale ?? 1,
      growthInterval: min(100, configuration.lossScale.growthInterval), isDynamic: storage == .float16)
  }

  /// Goes on from a saved one, as far as this configuration's storage has a use for it.
  package mutating func resume(from saved: DynamicScale) {
    (skipped, row) = (saved.skipped, saved.row)
    guard isDynamic == saved.isDynamic else { return }
    (scale, cleanSteps) = (saved.scale, saved.cleanSteps)
  }

  /// Takes note of a step. Returns whether it counts: false where it must change nothing.
  package mutating func update(finite: Bool) -> Bool {
    guard finite else {
      skipped += 1
      row = skippedInARow + 1
      cleanSteps = 0
      halve()
      return false
    }
    row = 0
    cleanSteps += 1
    if isDynamic && cleanSteps >= growthInterval && scale < Self.largest {
      scale *= 2
      cleanSteps = 0
    }
    return true
  }

  /// Halves the scale where it may be halved; whether it was.
  @discardableResult
  package mutating func halve() -> Bool {
    guard isDynamic, scale > Self.smallest else { return false }
    scale /= 2
    cleanSteps = 0
    return true
  }

  /// What a file says that no run could have written, or nil.
  func problem(after step: Int) -> String? {
    guard scale.isFinite, scale > 0, scale.significand == 1 else { return "scale is \(scale)" }
    guard growthInterval >= 1 else { return "growthInterval is \(growthInterval)" }
    let isCounted = [cleanSteps, skipped, skippedInARow].allSatisfy { (0...step).contains($0) }
    return isCounted ? nil : "cleanSteps \(cleanSteps), skipped \(skipped), \(skippedInARow) in a row of \(step) steps"
  }
}
