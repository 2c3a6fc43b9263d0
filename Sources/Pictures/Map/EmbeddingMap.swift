import Foundation

/// Images at the places of their features in a plane, framed by identity.
package struct EmbeddingMap: Sendable {
  package struct Item: Sendable {
    /// nil of one that cannot be read (any more).
    package var picture: Picture?
    /// Of the plane.
    package var point: Point
    /// From 0: those of one number have one colour.
    package var identity: Int
    /// Stands on it.
    package var label: String

    package init(_ picture: Picture?, _ point: Point, identity: Int, label: String) {
      (self.picture, self.point, self.identity, self.label) = (picture, point, identity, label)
    }
  }

  package var title: String, remark: String
  package var items: [Item]
  /// Height to width of the thumbnails.
  package var aspect: Double

  package init(_ title: String, _ remark: String, _ items: [Item], aspect: Double) {
    (self.title, self.remark, self.items, self.aspect) = (title, remark, items, aspect)
  }

  private static let margin = 20.0, top = 72.0
  /// Of the map's area, what thumbnails take: the rest shows where groups end.
  private static let coverage = 0.3

  package func drawing() -> Drawing {
    let width = 34.0, height = (width * min(max(aspect, 0.3), 3)).rounded()
    let bounds = bounds(thumbnail: width * height)
    var drawing = Drawing(
      width: bounds.right + Self.margin, height: bounds.bottom + Self.margin, title: title, description: remark)
    func text(_ text: String, _ size: Double, _ y: Double, _ ink: Ink, isBold: Bool = false) {
      drawing.marks.append(
        .text(
          TextWidth.fitted(text, width: bounds.width, size: size), Point(Self.margin, y),
          TextStyle(size, ink, isBold: isBold))
      )
    }
    text(title, 18, 36, .text, isBold: true)
    text(remark, 11, 56, .muted)
    drawing.marks.append(.box(bounds, fill: .ground))
    let places = Thumbnails.apart(
      scaled(into: bounds.enlarged(by: -height / 2 - 6)), width: width, height: height, within: bounds.enlarged(by: -4))
    for (item, place) in zip(items, places) {
      add(item, to: &drawing, Box(place.x - width / 2, place.y - height / 2, width, height))
    }
    return drawing
  }

  /// Where the plane goes: about of its aspect, and so large that thumbnails of this area cover what they may.
  private func bounds(thumbnail: Double) -> Box {
    let area = max(640 * 640, Double(items.count) * thumbnail / Self.coverage)
    let aspect = min(max(span.x > 0 ? span.y / span.x : 1, 0.4), 1.6)
    return Box(Self.margin, Self.top, (area / aspect).squareRoot(), (area * aspect).squareRoot())
  }

  /// Of the plane, from side to side.
  private var span: Point {
    let xs = items.map(\.point.x), ys = items.map(\.point.y)
    return Point((xs.max() ?? 0) - (xs.min() ?? 0), (ys.max() ?? 0) - (ys.min() ?? 0))
  }

  /// The plane, as large as it fits, its aspect kept.
  private func scaled(into box: Box) -> [Point] {
    let xs = items.map(\.point.x), ys = items.map(\.point.y)
    guard let left = xs.min(), let right = xs.max(), let low = ys.min(), let high = ys.max() else { return [] }
    let fits = [(box.width, right - left), (box.height, high - low)].filter { $0.1 > 0 }.map { $0.0 / $0.1 }
    let scale = fits.min() ?? 0
    return items.map {
      Point(
        box.middle.x + ($0.point.x - (left + right) / 2) * scale,
        box.middle.y - ($0.point.y - (low + high) / 2) * scale)
    }
  }

  private func add(_ item: Item, to drawing: inout Drawing, _ box: Box) {
    let ink = Self.ink(of: item.identity)
    drawing.marks.append(.box(box, fill: .ground))
    if let picture = item.picture {
      let fitted = box.fitting(width: Double(picture.image.width), height: Double(picture.image.height))
      drawing.marks.append(.picture(picture.reduced(to: fitted), fitted))
    }
    let size = 7.5, text = TextWidth.fitted(item.label, width: box.width - 4, size: size)
    let width = TextWidth.of(text, size: size) + 4
    drawing.marks += [
      .box(Box(box.x, box.bottom - 10, width, 10), fill: ink),
      .text(text, Point(box.x + 2, box.bottom - 2.2), TextStyle(size, .fixed(Colour(0x101010)))),
      .box(box, stroke: Stroke(ink, width: 2)),
    ]
  }

  /// Turns by the golden section: neighbours in number are far from each other in colour. Light enough for black numbers.
  static func ink(of identity: Int) -> Ink {
    let hue = (Double(identity) * 0.618_033_988_75).truncatingRemainder(dividingBy: 1)
    return .fixed(.hue(hue, lightness: identity % 2 == 0 ? 0.72 : 0.82))
  }
}
