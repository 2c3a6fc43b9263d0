import Tensors

/// `data.sectors`: directions that a scan does not see. Reconstructed from the abstract of place recognition by LiDAR that calls
/// for it: what is dropped, and how much, is ours.
package enum SectorDropout: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, band

    package var meaning: String {
      switch self {
      case .none: "all of them are seen"
      case .band:
        "a random band of columns, all rows of it, is covered as `data.erasingFill` says; it may go round the border"
      }
    }
  }

  case none(NoOptions), band(SectorOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .band: self = .band(try read(SectorOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .band(let options): (.band, options)
    }
  }

  /// Drawn in the order whether, how wide, where, and what covers it.
  func apply(to image: inout RGBImage, _ fill: ErasingFill, _ random: inout CounterRandom) {
    guard case .band(let options) = self, random.uniform() < options.probability else { return }
    let share = random.uniform(options.least, options.most)
    let width = max(1, min(image.width, Int((share * Double(image.width)).rounded())))
    let first = random.integer(below: image.width)
    // Turned so that the band begins at the left, and turned back.
    image.roll(by: -first)
    fill.cover(Rectangle(top: 0, left: 0, height: image.height, width: width), of: &image, &random)
    image.roll(by: first)
  }
}

package struct SectorOptions: Options {
  package var probability = 0.5
  package var least = 0.05
  package var most = 0.25
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("probability", \.probability, 0...1, "How often; else all is seen."),
      .number("least", \.least, 0...1, "The narrowest band, as a share of the width."),
      .number("most", \.most, 0...1, "The widest band; at least `least`."),
    ]
  }
}
