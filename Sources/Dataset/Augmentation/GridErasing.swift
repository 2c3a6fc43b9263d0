import Foundation
import Tensors

/// `data.grid`: a fence between camera and person (deep-person-reid's fork for OpenVINO, Sovrasov and Sidnev, 2020, whose lines
/// are white).
package enum GridErasing: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, lines

    package var meaning: String {
      switch self {
      case .none: "none"
      case .lines:
        "two bundles of parallel lines at a right angle, turned at random, covered as `data.erasingFill` says"
      }
    }
  }

  case none(NoOptions), lines(GridOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .lines: self = .lines(try read(GridOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .lines(let options): (.lines, options)
    }
  }

  /// Drawn in the order whether, distance of the lines, angle, where they begin in either direction, and what covers them.
  func apply(to image: inout RGBImage, _ fill: ErasingFill, _ random: inout CounterRandom) {
    guard case .lines(let options) = self, random.uniform() < options.probability else { return }
    let spacing = options.least + random.integer(below: max(1, options.most - options.least + 1))
    let degrees = random.uniform(0, 180), reach = Double(spacing)
    let grid = LineGrid(
      spacing: spacing, thickness: options.thickness, degrees: degrees, across: random.uniform(0, reach),
      along: random.uniform(0, reach))
    grid.cover(&image, fill, &random)
  }
}

package struct GridOptions: Options {
  package var probability = 0.15
  package var least = 24
  package var most = 64
  package var thickness = 1
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("probability", \.probability, 0...1, "How often; else nothing is in front."),
      .integer("least", \.least, 1...2048, "The least distance from one line to the next, in pixels."),
      .integer("most", \.most, 1...2048, "The greatest; at least `least`."),
      .integer("thickness", \.thickness, 1...2048, "Of a line, in pixels; from the distance on all is covered."),
    ]
  }
}

/// Lines at multiples of `spacing` in two directions at a right angle.
package struct LineGrid: Sendable {
  private let spacing: Double, thickness: Double, cosine: Double, sine: Double, across: Double, along: Double

  /// - Parameters:
  ///   - spacing: pixels from one line to the next, and `thickness` of one.
  ///   - degrees: by how much the grid is turned.
  ///   - across: how far the lines are moved in the one direction, and `along` in the other, in pixels.
  package init(spacing: Int, thickness: Int, degrees: Double, across: Double, along: Double) {
    (self.spacing, self.thickness, self.across, self.along) = (Double(spacing), Double(thickness), across, along)
    (cosine, sine) = (cos(degrees * .pi / 180), sin(degrees * .pi / 180))
  }

  package func cover(_ image: inout RGBImage, _ fill: ErasingFill, _ random: inout CounterRandom) {
    let whole = Rectangle(top: 0, left: 0, height: image.height, width: image.width)
    fill.cover(whole, of: &image, where: isOnLine, &random)
  }

  /// Whether the middle of a pixel is on a line.
  private func isOnLine(x: Int, y: Int) -> Bool {
    let (x, y) = (Double(x) + 0.5, Double(y) + 0.5)
    func isOn(_ place: Double) -> Bool { place - spacing * (place / spacing).rounded(.down) < thickness }
    return isOn(cosine * x + sine * y + across) || isOn(cosine * y - sine * x + along)
  }
}
