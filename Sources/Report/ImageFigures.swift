import Dataset
import Pictures

/// Pictures with what stands below them.
package enum ImageFigures {
  /// Right and wrong ones differ in their frames' lines and in a mark, not in colour alone.
  package static func figure(_ entry: RankingSheet.Entry) throws -> String {
    let (kind, mark): (String, String) =
      switch entry.frame {
      case .query: ("query", "")
      case .right: ("right", "✓")
      case .wrong: ("wrong", "✗")
      case .plain: ("plain", "")
      }
    var frame =
      try entry.picture.map { picture in
        "<img alt=\"\(Markup.escaped(picture.label))\" width=\"\(picture.image.width)\" height=\"\(picture.image.height)\" "
          + "src=\"\(try picture.dataURI())\">"
      } ?? HTML.element("span", [("class", "none")], "not to be read")
    if !mark.isEmpty { frame += HTML.element("span", [("class", "mark"), ("aria-hidden", "true")], mark) }
    let lines = entry.captions.enumerated().map { index, line in
      index == 0 ? HTML.element("b", [], Markup.escaped(line)) : Markup.escaped(line)
    }
    let caption = HTML.element("figcaption", [], lines.joined(separator: "<br>"))
    return HTML.element("figure", [("class", kind)], HTML.element("div", [("class", "frame")], frame) + caption)
  }

  /// A query, and the first images of its ranking.
  package static func ranking(_ row: RankingSheet.Row) throws -> String {
    let items = try ([row.query] + row.images).map { HTML.element("li", [], try figure($0)) }
    return HTML.element(
      "div", [("class", "row")],
      HTML.element("h3", [], Markup.escaped(row.heading)) + HTML.paragraph(row.remark, class: "muted")
        + HTML.element("ol", [], items.joined())) + "\n"
  }

  /// An image beside the maps that a network makes of it.
  package static func activations(_ row: ActivationSheet.Row) throws -> String {
    let image = row.image.reduced(toFit: 128, .infinity)
    let entries =
      [RankingSheet.Entry(Picture(image, label: row.name), .plain, ["image"])]
      + row.maps.map { name, map in
        let heat = map.image(width: image.width, height: image.height)
        return RankingSheet.Entry(
          Picture(heat, label: "\(name) of \(row.name), \(map.rows)×\(map.columns)"), .plain,
          [name, "\(map.rows)×\(map.columns)"])
      }
    let items = try entries.map { HTML.element("li", [], try figure($0)) }
    return HTML.element(
      "div", [("class", "row")],
      HTML.element("h3", [], Markup.escaped(row.name)) + HTML.element("ul", [], items.joined())) + "\n"
  }

  /// Two images, and why they stand here.
  package static func pair(_ first: RankingSheet.Entry, _ second: RankingSheet.Entry, _ remark: String) throws -> String
  {
    HTML.element("li", [], try figure(first) + figure(second) + HTML.paragraph(remark)) + "\n"
  }
}
