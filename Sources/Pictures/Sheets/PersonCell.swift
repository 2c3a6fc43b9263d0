import Dataset

/// Where the images of a sheet stand: all as wide and high as each other, with lines of text below.
package struct CellLayout: Sendable, Equatable {
  package let width: Double, height: Double
  package let lines: Int
  package static let fontSize = 10.0, lineHeight = 13.0

  /// - Parameters:
  ///   - aspect: height to width of the network's input, which images are shown in.
  ///   - lines: of text below.
  package init(width: Double = 96, aspect: Double, lines: Int) {
    (self.width, height, self.lines) = (width, (width * min(max(aspect, 0.3), 3)).rounded(), lines)
  }

  package var totalHeight: Double { height + 6 + Double(lines) * Self.lineHeight }
}

/// How an image is framed, each by a colour, a line and a mark of its own.
package enum Frame: Sendable, Equatable {
  /// Thick and plain: what is asked for.
  case query
  /// Solid, with a tick.
  case right
  /// Dashed, with a cross.
  case wrong
  /// Thin.
  case plain

  var stroke: Stroke {
    switch self {
    case .query: Stroke(.text, width: 3)
    case .right: Stroke(.right, width: 3)
    case .wrong: Stroke(.wrong, width: 3, dash: [7, 5])
    case .plain: Stroke(.grid, width: 1)
    }
  }

  /// Its mark in a disc; none of those that say nothing.
  package func badge(at centre: Point, radius r: Double) -> [Mark] {
    func line(_ points: (Double, Double)...) -> Mark {
      .line(points.map { Point(centre.x + $0.0 * r, centre.y + $0.1 * r) }, Stroke(.paper, width: r * 0.28))
    }
    switch self {
    case .right: return [.disc(centre, radius: r, .right), line((-0.45, 0.05), (-0.1, 0.4), (0.5, -0.35))]
    case .wrong:
      return [.disc(centre, radius: r, .wrong), line((-0.38, -0.38), (0.38, 0.38)), line((-0.38, 0.38), (0.38, -0.38))]
    case .query, .plain: return []
    }
  }
}

extension Drawing {
  /// An image in a cell with its frame and what stands below.
  /// - Parameter picture: nil of one that cannot be read (any more): a crossed box takes its place.
  package mutating func add(
    _ picture: Picture?, _ captions: [String], _ frame: Frame, at corner: Point, _ layout: CellLayout
  ) {
    let box = Box(corner.x, corner.y, layout.width, layout.height)
    marks.append(.box(box, fill: .ground))
    if let picture {
      let fitted = box.fitting(width: Double(picture.image.width), height: Double(picture.image.height))
      marks.append(.picture(picture.reduced(to: fitted), fitted))
    } else {
      marks += [
        .line([Point(box.x, box.y), Point(box.right, box.bottom)], Stroke(.muted)),
        .line([Point(box.right, box.y), Point(box.x, box.bottom)], Stroke(.muted)),
      ]
    }
    marks.append(.box(box, stroke: frame.stroke))
    marks += frame.badge(at: Point(box.right - 11, box.y + 11), radius: 8)
    for (index, caption) in captions.prefix(layout.lines).enumerated() {
      let y = box.bottom + 6 + Double(index + 1) * CellLayout.lineHeight - 3
      let text = TextWidth.fitted(caption, width: layout.width + 6, size: CellLayout.fontSize)
      marks.append(
        .text(text, Point(box.middle.x, y), TextStyle(CellLayout.fontSize, index == 0 ? .text : .muted, .middle)))
    }
  }
}
