import Tensors

/// `data.colorJitter`: colours as another camera may see them.
package enum ColorJitter: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, uniform

    package var meaning: String {
      switch self {
      case .none: "as they are"
      case .uniform:
        "brightness, contrast, saturation and hue in a random order, each changed by a uniform amount (torchvision's ColorJitter)"
      }
    }
  }

  case none(NoOptions), uniform(JitterOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .uniform: self = .uniform(try read(JitterOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .uniform(let options): (.uniform, options)
    }
  }

  /// Drawn in the order whether, the order of the four, and in that order by how much; nothing for an amount of 0.
  func apply(to image: inout RGBImage, _ random: inout CounterRandom) {
    guard case .uniform(let options) = self, random.uniform() < options.probability else { return }
    func factor(_ amount: Double) -> Double { random.uniform(max(0, 1 - amount), 1 + amount) }
    var steps = JitterOptions.Step.allCases
    random.shuffle(&steps)
    for step in steps where options.amount(step) > 0 {
      switch step {
      case .brightness: image.adjustBrightness(factor(options.brightness))
      case .contrast: image.adjustContrast(factor(options.contrast))
      case .saturation: image.adjustSaturation(factor(options.saturation))
      case .hue: image.turnHue(random.uniform(-options.hue, options.hue))
      }
    }
  }
}

/// Amounts a: a factor between max(0, 1 − a) and 1 + a, or for the hue a turn between −a and a. The defaults are fast-reid's.
package struct JitterOptions: Options {
  fileprivate enum Step: CaseIterable { case brightness, contrast, saturation, hue }

  package var probability = 0.5
  package var brightness = 0.15
  package var contrast = 0.15
  package var saturation = 0.1
  package var hue = 0.1
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("probability", \.probability, 0...1, "How often; else the image stays."),
      .number("brightness", \.brightness, 0...10, "a: the factor on every value is from max(0, 1 − a) to 1 + a."),
      .number("contrast", \.contrast, 0...10, "The same of the distance from the mean luminance."),
      .number("saturation", \.saturation, 0...10, "The same of the distance from the pixel's gray."),
      .number("hue", \.hue, 0...0.5, "The farthest that hues are turned, as a share of the circle."),
    ]
  }

  fileprivate func amount(_ step: Step) -> Double {
    switch step {
    case .brightness: brightness
    case .contrast: contrast
    case .saturation: saturation
    case .hue: hue
    }
  }
}
