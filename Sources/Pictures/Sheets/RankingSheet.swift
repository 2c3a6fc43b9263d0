import Foundation

/// Queries with the first images of their rankings, right and wrong ones framed.
package struct RankingSheet: Sendable {
  /// An image of a ranking, or a query.
  package struct Entry: Sendable {
    package var picture: Picture?
    package var frame: Frame
    package var captions: [String]

    package init(_ picture: Picture?, _ frame: Frame, _ captions: [String]) {
      (self.picture, self.frame, self.captions) = (picture, frame, captions)
    }
  }

  package struct Row: Sendable {
    /// Above the images: which query, and how well its gallery is ranked.
    package var heading: String, remark: String
    package var query: Entry
    package var images: [Entry]

    package init(_ heading: String, _ remark: String, query: Entry, images: [Entry]) {
      (self.heading, self.remark, self.query, self.images) = (heading, remark, query, images)
    }
  }

  /// Rows of one data set.
  package struct Section: Sendable {
    package var title: String, remark: String
    package var rows: [Row]

    package init(_ title: String, _ remark: String, _ rows: [Row]) {
      (self.title, self.remark, self.rows) = (title, remark, rows)
    }
  }

  package var title: String
  package var sections: [Section]
  package var layout: CellLayout

  package init(_ title: String, _ sections: [Section], aspect: Double) {
    (self.title, self.sections) = (title, sections)
    layout = CellLayout(aspect: aspect, lines: 3)
  }

  private static let margin = 20.0, gap = 12.0, queryGap = 34.0, rowGap = 22.0

  package func drawing() -> Drawing {
    let columns = sections.flatMap(\.rows).map(\.images.count).max() ?? 0
    let width = max(
      560, 2 * Self.margin + layout.width + Self.queryGap + Double(columns) * (layout.width + Self.gap) - Self.gap)
    var drawing = Drawing(width: width, height: 0, title: title, description: summary)
    drawing.marks.append(
      .text(
        TextWidth.fitted(title, width: width - 2 * Self.margin, size: 18), Point(Self.margin, 36),
        TextStyle(18, isBold: true)))
    var y = 50.0
    addKey(to: &drawing, y)
    y += 34
    for section in sections {
      drawing.marks += [
        .text(
          TextWidth.fitted(section.title, width: width - 2 * Self.margin, size: 15), Point(Self.margin, y + 14),
          TextStyle(14, isBold: true)),
        .text(
          TextWidth.fitted(section.remark, width: width - 2 * Self.margin, size: 11), Point(Self.margin, y + 32),
          TextStyle(11, .muted)),
      ]
      y += 52
      for row in section.rows {
        add(row, to: &drawing, y)
        y += 20 + layout.totalHeight + Self.rowGap
      }
    }
    drawing.height = y
    return drawing
  }

  /// What frames mean.
  private func addKey(to drawing: inout Drawing, _ y: Double) {
    var x = Self.margin
    for (frame, text) in [
      (Frame.query, "query"), (.right, "right: the query's identity"), (.wrong, "wrong: another identity"),
    ] {
      drawing.marks.append(.box(Box(x + 1, y + 1, 16, 16), fill: .ground, stroke: frame.stroke))
      drawing.marks += frame.badge(at: Point(x + 9, y + 9), radius: 6)
      drawing.marks.append(.text(text, Point(x + 25, y + 13), TextStyle(11, .muted)))
      x += 25 + TextWidth.of(text, size: 11) + 24
    }
  }

  private func add(_ row: Row, to drawing: inout Drawing, _ y: Double) {
    let size = 12.0, width = drawing.width - 2 * Self.margin
    let remark = TextWidth.fitted(row.remark, width: width / 2, size: 11)
    let heading = TextWidth.fitted(row.heading, width: width - TextWidth.of(remark, size: 11) - 24, size: size)
    drawing.marks += [
      .text(heading, Point(Self.margin, y + 10), TextStyle(size, isBold: true)),
      .text(
        remark, Point(Self.margin + TextWidth.of(heading, size: size) * 1.1 + 16, y + 10), TextStyle(11, .muted)),
    ]
    var corner = Point(Self.margin, y + 20)
    drawing.add(row.query.picture, row.query.captions, row.query.frame, at: corner, layout)
    corner.x += layout.width + Self.queryGap
    drawing.marks.append(
      .line(
        [Point(corner.x - Self.queryGap / 2, corner.y), Point(corner.x - Self.queryGap / 2, corner.y + layout.height)],
        Stroke(.grid)))
    for image in row.images {
      drawing.add(image.picture, image.captions, image.frame, at: corner, layout)
      corner.x += layout.width + Self.gap
    }
  }

  private var summary: String {
    sections.map { section in
      let rows = section.rows.map { row in
        let right = row.images.enumerated().filter { $0.element.frame == .right }.map { "\($0.offset + 1)" }
        return
          "\(row.heading), \(row.remark); right at rank \(right.isEmpty ? "none of those shown" : right.joined(separator: ", "))"
      }
      return "\(section.title): \(section.remark). \(rows.joined(separator: ". "))."
    }.joined(separator: " ")
  }
}
