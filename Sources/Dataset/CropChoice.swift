import Tensors

/// `data.crop`: which part of a training image the network sees.
package enum CropChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, enlarge, pad

    package var meaning: String {
      switch self {
      case .none: "all of it, as in evaluation"
      case .enlarge: "a crop of the enlarged image (torchreid's random 2-D translation has a probability of ½)"
      case .pad: "a crop of the image within a black border (fast-reid, Bag of Tricks)"
      }
    }
  }

  case none(NoOptions), enlarge(EnlargedCrop), pad(PaddedCrop)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .enlarge: self = .enlarge(try read(EnlargedCrop.self))
    case .pad: self = .pad(try read(PaddedCrop.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .enlarge(let options): (.enlarge, options)
    case .pad(let options): (.pad, options)
    }
  }
}

/// The image is resized to more than the input, and cropped to it.
package struct EnlargedCrop: Options {
  package var factor = 1.125
  package var probability = 1.0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("factor", \.factor, 1...4, "How many times the input's height and width it is resized to."),
      .number("probability", \.probability, 0...1, "How often; else all of the image is seen."),
    ]
  }
}

/// The image is resized to the input, surrounded with black, and cropped to the input.
package struct PaddedCrop: Options {
  package var pixels = 10
  package var probability = 1.0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .integer("pixels", \.pixels, 0...1024, "The width of the border."),
      .number("probability", \.probability, 0...1, "How often; else all of the image is seen."),
    ]
  }
}
