import Foundation
import Tensors

/// `schedule.kind`: how the learning rate falls after warm-up.
package enum ScheduleKind: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case steps, cosine, polynomial

    package var meaning: String {
      switch self {
      case .steps: "by `schedule.factor` at the epochs of `schedule.steps`"
      case .cosine: "along half a cosine to the end of the run (Loshchilov and Hutter, 2017)"
      case .polynomial: "as a power of what is left of the run"
      }
    }
  }

  case steps(NoOptions), cosine(CosineSchedule), polynomial(PolynomialSchedule)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .steps: self = .steps(try read(NoOptions.self))
    case .cosine: self = .cosine(try read(CosineSchedule.self))
    case .polynomial: self = .polynomial(try read(PolynomialSchedule.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .steps(let options): (.steps, options)
    case .cosine(let options): (.cosine, options)
    case .polynomial(let options): (.polynomial, options)
    }
  }
}

/// φ + (1 − φ)(1 + cos πu)/2 of the rate, u from 0 at the end of warm-up, and of the epochs of `delay`, to 1 at the end of the
/// run.
package struct CosineSchedule: Options {
  package var floor = 0.0
  package var delay = 0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .floor(\.floor),
      .integer(
        "delay", \.delay, 0...ConfigurationSection.mostEpochs,
        "Epochs from the start of the run before it falls (fast-reid's DELAY_EPOCHS)."),
    ]
  }

  func factor(_ u: Double) -> Double { floor + (1 - floor) * (1 + cos(.pi * u)) / 2 }
}

/// φ + (1 − φ)(1 − u)ᵖ of the rate.
package struct PolynomialSchedule: Options {
  package var power = 0.9
  package var floor = 0.0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [.number("power", \.power, 0...100, "p."), .floor(\.floor)]
  }

  func factor(_ u: Double) -> Double { floor + (1 - floor) * pow(1 - u, power) }
}

extension OptionField {
  fileprivate static func floor(_ place: WritableKeyPath<Root, Double> & Sendable) -> OptionField {
    .number("floor", place, 0...1, "φ: the share of the learning rate that the run ends with.")
  }
}
