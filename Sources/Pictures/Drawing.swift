import Dataset

/// A place of a drawing, in CSS pixels from its upper left corner.
package struct Point: Sendable, Equatable {
  package var x: Double, y: Double

  package init(_ x: Double, _ y: Double) { (self.x, self.y) = (x, y) }
}

/// A rectangle of a drawing.
package struct Box: Sendable, Equatable {
  package var x: Double, y: Double, width: Double, height: Double

  package init(_ x: Double, _ y: Double, _ width: Double, _ height: Double) {
    (self.x, self.y, self.width, self.height) = (x, y, width, height)
  }

  package var right: Double { x + width }
  package var bottom: Double { y + height }
  package var middle: Point { Point(x + width / 2, y + height / 2) }

  /// Larger by `margin` on each side; smaller where it is negative.
  package func enlarged(by margin: Double) -> Box {
    Box(x - margin, y - margin, width + 2 * margin, height + 2 * margin)
  }

  /// The largest rectangle of this aspect within it, in its middle.
  package func fitting(width w: Double, height h: Double) -> Box {
    let scale = min(width / w, height / h)
    return Box(x + (width - w * scale) / 2, y + (height - h * scale) / 2, w * scale, h * scale)
  }
}

/// How a line is drawn.
package struct Stroke: Sendable, Equatable {
  package var ink: Ink, width: Double
  /// Lengths of dashes and gaps; none: solid.
  package var dash: [Double]

  package init(_ ink: Ink, width: Double = 1, dash: [Double] = []) {
    (self.ink, self.width, self.dash) = (ink, width, dash)
  }
}

/// How a text is set. Its place is on the baseline, at its beginning, middle or end.
package struct TextStyle: Sendable, Equatable {
  package enum Anchor: String, Sendable { case start, middle, end }

  package var size: Double, ink: Ink, anchor: Anchor
  package var isBold = false
  /// Turned by a quarter against the clock.
  package var isUpright = false

  package init(_ size: Double, _ ink: Ink = .text, _ anchor: Anchor = .start, isBold: Bool = false) {
    (self.size, self.ink, self.anchor, self.isBold) = (size, ink, anchor, isBold)
  }
}

/// An image within a drawing.
package struct Picture: Sendable, Equatable {
  package let image: RGBImage
  /// What is on it, in words.
  package let label: String
  /// A photograph goes into an SVG file as JPEG, anything else as PNG.
  package let isPhotograph: Bool

  package init(_ image: RGBImage, label: String, isPhotograph: Bool = true) {
    (self.image, self.label, self.isPhotograph) = (image, label, isPhotograph)
  }

  /// Reduced to what `box` can show at twice the resolution of a CSS pixel, so that a sheet of many stays small.
  package func reduced(to box: Box) -> Picture {
    Picture(image.reduced(toFit: 2 * box.width, 2 * box.height), label: label, isPhotograph: isPhotograph)
  }
}

/// What a drawing is made of.
package enum Mark: Sendable, Equatable {
  /// From point to point.
  case line([Point], Stroke)
  /// A polygon, filled.
  case area([Point], Ink, opacity: Double)
  /// A rectangle, with round corners of this radius.
  case box(Box, fill: Ink? = nil, stroke: Stroke? = nil, radius: Double = 0)
  case disc(Point, radius: Double, Ink)
  case text(String, Point, TextStyle)
  /// Fills the box, whatever its aspect.
  case picture(Picture, Box)
}

/// Lines, texts and pictures on a page, before it is known how they come to be seen: as SVG (`svg`), whose colours follow the
/// reader's choice of light or dark, or as PNG (`Canvas`).
package struct Drawing: Sendable, Equatable {
  package var width: Double, height: Double
  /// For those who cannot see it, too.
  package var title: String, description: String
  /// The first ones at the bottom.
  package var marks: [Mark]

  package init(width: Double, height: Double, title: String, description: String, marks: [Mark] = []) {
    (self.width, self.height, self.title, self.description) = (width, height, title, description)
    self.marks = marks
  }

  /// The marks of `other`, moved.
  package mutating func place(_ other: Drawing, at corner: Point) {
    marks += other.marks.map { $0.moved(by: corner) }
  }
}

extension Mark {
  package func moved(by offset: Point) -> Mark {
    func moved(_ point: Point) -> Point { Point(point.x + offset.x, point.y + offset.y) }
    func moved(_ box: Box) -> Box { Box(box.x + offset.x, box.y + offset.y, box.width, box.height) }
    switch self {
    case .line(let points, let stroke): return .line(points.map(moved), stroke)
    case .area(let points, let ink, let opacity): return .area(points.map(moved), ink, opacity: opacity)
    case .box(let box, let fill, let stroke, let radius):
      return .box(moved(box), fill: fill, stroke: stroke, radius: radius)
    case .disc(let point, let radius, let ink): return .disc(moved(point), radius: radius, ink)
    case .text(let text, let point, let style): return .text(text, moved(point), style)
    case .picture(let picture, let box): return .picture(picture, moved(box))
    }
  }
}
