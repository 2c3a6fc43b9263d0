import Dataset

/// Images, each beside what the maps of a network make of it.
package struct ActivationSheet: Sendable {
  package struct Row: Sendable {
    package var name: String
    /// As the network sees it.
    package var image: RGBImage
    /// By name, the same names in every row.
    package var maps: [(name: String, map: HeatMap)]

    package init(_ name: String, _ image: RGBImage, _ maps: [(name: String, map: HeatMap)]) {
      (self.name, self.image, self.maps) = (name, image, maps)
    }
  }

  package var title: String, remark: String
  package var rows: [Row]
  /// Whether maps lie on their images.
  package var isOverlaid = false

  package init(_ title: String, _ remark: String, _ rows: [Row]) {
    (self.title, self.remark, self.rows) = (title, remark, rows)
  }

  private static let margin = 20.0, gap = 8.0

  package func drawing() -> Drawing {
    let first = rows.first, aspect = first.map { Double($0.image.height) / Double($0.image.width) } ?? 2
    let layout = CellLayout(width: 90, aspect: aspect, lines: 1), names = first?.maps.map(\.name) ?? []
    let width = max(
      620, 2 * Self.margin + Double(names.count + 1) * (layout.width + Self.gap) + Self.gap)
    var drawing = Drawing(width: width, height: 0, title: title, description: remark)
    func text(_ text: String, _ size: Double, _ y: Double, _ ink: Ink, isBold: Bool = false) {
      drawing.marks.append(
        .text(
          TextWidth.fitted(text, width: width - 2 * Self.margin, size: size), Point(Self.margin, y),
          TextStyle(size, ink, isBold: isBold)))
    }
    text(title, 18, 36, .text, isBold: true)
    text(remark, 11, 56, .muted)
    addScale(to: &drawing, 68)
    var y = 112.0
    for (column, name) in (["image"] + names).enumerated() {
      drawing.marks.append(
        .text(name, Point(x(column, layout) + layout.width / 2, y), TextStyle(12, .text, .middle, isBold: true)))
    }
    y += 10
    for row in rows {
      let pictures = [Picture(row.image, label: row.name)] + row.maps.map { picture($0.name, $0.map, of: row) }
      for (column, picture) in pictures.enumerated() {
        drawing.add(picture, column == 0 ? [row.name] : [], .plain, at: Point(x(column, layout), y), layout)
      }
      y += layout.totalHeight + 10
    }
    drawing.height = y + 6
    return drawing
  }

  /// The image stands a little apart.
  private func x(_ column: Int, _ layout: CellLayout) -> Double {
    Self.margin + Double(column) * (layout.width + Self.gap) + (column > 0 ? Self.gap : 0)
  }

  private func picture(_ name: String, _ map: HeatMap, of row: Row) -> Picture {
    // Twice the pixels of a small input, so that the colours blend.
    let scale = row.image.width < 180 ? 2 : 1
    let (width, height) = (row.image.width * scale, row.image.height * scale)
    let photograph = isOverlaid ? Resampling.resize(row.image, width: width, height: height) : nil
    return Picture(
      map.image(width: width, height: height, over: photograph),
      label: "\(name) of \(row.name), \(map.rows)×\(map.columns)", isPhotograph: isOverlaid)
  }

  /// From the smallest value of a map to its largest.
  private func addScale(to drawing: inout Drawing, _ y: Double) {
    let ramp = HeatMap(rows: 1, columns: 64, (0..<64).map(Double.init)).image(width: 256, height: 1)
    let left = Self.margin + 46
    drawing.marks += [
      .text("least", Point(Self.margin, y + 11), TextStyle(11, .muted)),
      .picture(Picture(ramp, label: "the scale of colours", isPhotograph: false), Box(left, y, 140, 14)),
      .text("most of each map", Point(left + 148, y + 11), TextStyle(11, .muted)),
    ]
  }
}
