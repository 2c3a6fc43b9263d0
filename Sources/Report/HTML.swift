import Pictures

/// Pieces of a page of HTML. A text becomes one by `Markup.escaped`; everything else is markup already.
package enum HTML {
  package static func element(
    _ name: String, _ attributes: [(name: String, value: String)] = [], _ content: String
  ) -> String {
    let attributes = attributes.map { " \($0.name)=\"\(Markup.escaped($0.value))\"" }.joined()
    return "<\(name)\(attributes)>\(content)</\(name)>"
  }

  package static func paragraph(_ text: String, class kind: String? = nil) -> String {
    element("p", kind.map { [("class", $0)] } ?? [], Markup.escaped(text)) + "\n"
  }

  /// A table that scrolls sideways where the page is narrower; the first column has the names of its rows.
  /// - Parameters:
  ///   - header: texts.
  ///   - rows: a text for the name, and markup for the others.
  package static func table(_ caption: String, header: [String], rows: [(name: String, cells: [String])]) -> String {
    var out =
      "<thead><tr>" + header.map { element("th", [("scope", "col")], Markup.escaped($0)) }.joined() + "</tr></thead>\n"
    out += "<tbody>"
    for row in rows {
      out += "<tr>" + element("th", [("scope", "row")], Markup.escaped(row.name))
      out += row.cells.map { element("td", [], $0) }.joined() + "</tr>\n"
    }
    out += "</tbody>"
    let table = element("table", [], element("caption", [], element("span", [], Markup.escaped(caption))) + out)
    // What scrolls has to be reached by the keyboard too.
    return element("div", [("class", "scroll"), ("role", "region"), ("aria-label", caption), ("tabindex", "0")], table)
      + "\n"
  }
}
