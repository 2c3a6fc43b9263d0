import Tensors

/// `data.rotation`: cameras that do not hang level (deep-person-reid's fork for OpenVINO, Sovrasov and Sidnev, "Building
/// computationally efficient and well-generalizing person re-identification models with metric learning", 2020; how far they turn
/// is not known here).
package enum RandomRotation: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, uniform

    package var meaning: String {
      switch self {
      case .none: "upright"
      case .uniform: "about its middle, each pixel the nearest one, black where nothing is seen"
      }
    }
  }

  case none(NoOptions), uniform(RotationOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .uniform: self = .uniform(try read(RotationOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .uniform(let options): (.uniform, options)
    }
  }

  /// Drawn in the order whether, by how much.
  func apply(to image: inout RGBImage, _ random: inout CounterRandom) {
    guard case .uniform(let options) = self, random.uniform() < options.probability else { return }
    image.rotate(degrees: random.uniform(-options.degrees, options.degrees), fill: 0)
  }
}

package struct RotationOptions: Options {
  package var probability = 0.33
  package var degrees = 5.0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("probability", \.probability, 0...1, "How often; else the image stays upright."),
      .number("degrees", \.degrees, 0...90, "The farthest that it is turned, to either side."),
    ]
  }
}
