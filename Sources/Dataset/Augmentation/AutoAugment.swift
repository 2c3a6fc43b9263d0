import Tensors

/// `data.autoAugment`: policies that were found by search (Cubuk et al., "AutoAugment", CVPR 2019).
package enum AutoAugment: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, reid, imagenet

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .reid: "those pairs of ImageNet's policy that equalize, posterize or shear (fast-reid)"
      case .imagenet: "ImageNet's policy (Cubuk et al., 2019)"
      }
    }
  }

  case none(NoOptions), reid(PolicyOptions), imagenet(PolicyOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .reid: self = .reid(try read(PolicyOptions.self))
    case .imagenet: self = .imagenet(try read(PolicyOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .reid(let options): (.reid, options)
    case .imagenet(let options): (.imagenet, options)
    }
  }

  /// Of all images a share goes through one pair of operations, drawn from the policy, each with its own probability.
  ///
  /// Drawn in the order whether, which pair, and for either operation whether and, where it has two directions, which.
  func apply(to image: inout RGBImage, _ random: inout CounterRandom) {
    let (probability, pairs): (Double, [Pair]) =
      switch self {
      case .none: (0.0, [])
      case .reid(let options): (options.probability, Self.reidPairs)
      case .imagenet(let options): (options.probability, Self.imagenetPairs)
      }
    guard random.uniform() < probability else { return }
    let pair = pairs[random.integer(below: pairs.count)]
    for step in [pair.first, pair.second] where random.uniform() < step.probability {
      step.operation.apply(to: &image, magnitude: Double(step.level) / 9) { random.uniform() < 0.5 ? -1 : 1 }
    }
  }
}

package struct PolicyOptions: Options {
  package var probability = 0.1
  package init() {}
  package static var fields: [OptionField<Self>] {
    [.number("probability", \.probability, 0...1, "How often; else the image stays.")]
  }
}

/// What a policy is made of. Magnitudes go from 0 to 1; the ranges are those of the paper (Table 6) in the code that
/// re-identification took them from, with Pillow's arithmetic.
enum PolicyOperation {
  case shear, rotate, color, contrast, sharpness, posterize, solarize, equalize, stretchContrast, invert

  /// The colour of what comes into the frame.
  private static let fill: UInt8 = 128

  /// - Parameter sign: −1 or 1, asked for where there are two directions.
  func apply(to image: inout RGBImage, magnitude: Double, sign: () -> Double) {
    switch self {
    case .shear: image.shear(0.3 * magnitude * sign(), fill: Self.fill)
    case .rotate: image.rotate(degrees: 30 * magnitude, fill: Self.fill)
    case .color: image.adjustSaturation(1 + 0.9 * magnitude * sign())
    case .contrast: image.adjustContrast(1 + 0.9 * magnitude * sign())
    case .sharpness: image.adjustSharpness(1 + 0.9 * magnitude * sign())
    case .posterize: image.posterize(bits: Int((8 - 4 * magnitude).rounded(.toNearestOrEven)))
    case .solarize: image.solarize(from: 256 * (1 - magnitude))
    case .equalize: image.equalize()
    case .stretchContrast: image.stretchContrast()
    case .invert: image.invert()
    }
  }
}

extension AutoAugment {
  /// An operation, how often, and its magnitude in ninths.
  private struct Step {
    let operation: PolicyOperation, probability: Double, level: Int
    init(_ operation: PolicyOperation, _ probability: Double, _ level: Int) {
      (self.operation, self.probability, self.level) = (operation, probability, level)
    }
  }

  private struct Pair {
    let first: Step, second: Step
    init(_ first: Step, _ second: Step) { (self.first, self.second) = (first, second) }
  }

  private static let reidPairs = [
    Pair(Step(.equalize, 0.8, 8), Step(.equalize, 0.6, 3)), Pair(Step(.posterize, 0.6, 7), Step(.posterize, 0.6, 6)),
    Pair(Step(.posterize, 0.8, 5), Step(.equalize, 1.0, 2)), Pair(Step(.equalize, 0.6, 8), Step(.posterize, 0.4, 6)),
    Pair(Step(.equalize, 0.0, 7), Step(.equalize, 0.8, 8)), Pair(Step(.shear, 0.6, 5), Step(.equalize, 1.0, 9)),
    Pair(Step(.color, 0.4, 0), Step(.equalize, 0.6, 3)), Pair(Step(.equalize, 0.8, 8), Step(.equalize, 0.6, 3)),
  ]

  /// Table 9 of the paper.
  private static let imagenetPairs = [
    Pair(Step(.posterize, 0.4, 8), Step(.rotate, 0.6, 9)),
    Pair(Step(.solarize, 0.6, 5), Step(.stretchContrast, 0.6, 5)),
    Pair(Step(.equalize, 0.8, 8), Step(.equalize, 0.6, 3)), Pair(Step(.posterize, 0.6, 7), Step(.posterize, 0.6, 6)),
    Pair(Step(.equalize, 0.4, 7), Step(.solarize, 0.2, 4)), Pair(Step(.equalize, 0.4, 4), Step(.rotate, 0.8, 8)),
    Pair(Step(.solarize, 0.6, 3), Step(.equalize, 0.6, 7)), Pair(Step(.posterize, 0.8, 5), Step(.equalize, 1.0, 2)),
    Pair(Step(.rotate, 0.2, 3), Step(.solarize, 0.6, 8)), Pair(Step(.equalize, 0.6, 8), Step(.posterize, 0.4, 6)),
    Pair(Step(.rotate, 0.8, 8), Step(.color, 0.4, 0)), Pair(Step(.rotate, 0.4, 9), Step(.equalize, 0.6, 2)),
    Pair(Step(.equalize, 0.0, 7), Step(.equalize, 0.8, 8)), Pair(Step(.invert, 0.6, 4), Step(.equalize, 1.0, 8)),
    Pair(Step(.color, 0.6, 4), Step(.contrast, 1.0, 8)), Pair(Step(.rotate, 0.8, 8), Step(.color, 1.0, 2)),
    Pair(Step(.color, 0.8, 8), Step(.solarize, 0.8, 7)), Pair(Step(.sharpness, 0.4, 7), Step(.invert, 0.6, 8)),
    Pair(Step(.shear, 0.6, 5), Step(.equalize, 1.0, 9)), Pair(Step(.color, 0.4, 0), Step(.equalize, 0.6, 3)),
    Pair(Step(.equalize, 0.4, 7), Step(.solarize, 0.2, 4)),
    Pair(Step(.solarize, 0.6, 5), Step(.stretchContrast, 0.6, 5)),
    Pair(Step(.invert, 0.6, 4), Step(.equalize, 1.0, 8)), Pair(Step(.color, 0.6, 4), Step(.contrast, 1.0, 8)),
    Pair(Step(.equalize, 0.8, 8), Step(.equalize, 0.6, 3)),
  ]
}
