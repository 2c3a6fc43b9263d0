import Foundation
import Tensors

/// `data.mixUp`: means of two images, with two labels.
package enum MixUp: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, beta

    package var meaning: String {
      switch self {
      case .none: "one image, one label"
      case .beta: "with another of the batch, and so the labels of the cross-entropy (mixup, Zhang et al., 2018)"
      }
    }
  }

  case none(NoOptions), beta(MixOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .beta: self = .beta(try read(MixOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .beta(let options): (.beta, options)
    }
  }

  /// Drawn in the order whether, with which, how much; nil where an image stays alone.
  func drawn(among count: Int, _ random: inout CounterRandom) -> Mix? {
    guard case .beta(let options) = self, count > 0, random.uniform() < options.probability else { return nil }
    return Mix(source: random.integer(below: count), share: random.beta(options.alpha))
  }
}

/// The authors mix a batch with a permutation of itself by one λ; here each image has its own partner and λ, so that it does not
/// matter how a batch is shared out.
package struct MixOptions: Options {
  package var alpha = 0.2
  package var probability = 1.0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number(
        "alpha", \.alpha, 0.05...10, "α of the beta distribution of shares: small ones leave most images nearly alone."),
      .number("probability", \.probability, 0...1, "How often; else the image stays alone."),
    ]
  }
}

/// What an image is mixed with.
package struct Mix: Sendable, Equatable {
  /// The index of the other image among those of the whole batch.
  package let source: Int
  /// Of the other image.
  package let share: Double

  /// Rounded to 8 bits. Both of the same size.
  func mixed(_ pixels: [UInt8], with other: [UInt8]) -> [UInt8] {
    zip(pixels, other).map { (own: UInt8, other: UInt8) -> UInt8 in
      let difference = Double(other) - Double(own)
      return UInt8((Double(own) + share * difference).rounded())
    }
  }
}

extension CounterRandom {
  /// Of the symmetric beta distribution.
  mutating func beta(_ alpha: Double) -> Double {
    let first = gamma(alpha), second = gamma(alpha)
    return first + second > 0 ? first / (first + second) : 0.5
  }

  /// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); below 1 through α + 1.
  private mutating func gamma(_ alpha: Double) -> Double {
    if alpha < 1 { return gamma(alpha + 1) * pow(1 - uniform(), 1 / alpha) }
    let d = alpha - 1.0 / 3, c = 1 / (9 * d).squareRoot()
    while true {
      let x = normal(), v = pow(1 + c * x, 3)
      if v > 0 && log(1 - uniform()) < 0.5 * x * x + d - d * v + d * log(v) { return d * v }
    }
  }
}
