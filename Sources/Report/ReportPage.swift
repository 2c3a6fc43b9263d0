import Pictures

/// One file of HTML that needs nothing else: no network, no script.
package struct ReportPage {
  /// A part of the page, with a heading.
  package struct Section {
    /// Letters and hyphens: what links to it.
    package let id: String
    package let title: String
    /// Markup.
    package var body: String

    package init(_ id: String, _ title: String, _ body: String) { (self.id, self.title, self.body) = (id, title, body) }
  }

  package var title: String
  /// Below the title: markup.
  package var introduction: String
  package var sections: [Section]
  /// At the end: a text.
  package var footer: String

  package init(_ title: String, introduction: String, _ sections: [Section], footer: String) {
    (self.title, self.introduction, self.sections, self.footer) = (title, introduction, sections, footer)
  }

  package var text: String {
    let contents = sections.map { section in
      HTML.element("li", [], HTML.element("a", [("href", "#\(section.id)")], Markup.escaped(section.title)))
    }
    var body = "<header>\n" + HTML.element("h1", [], Markup.escaped(title)) + "\n" + introduction + "</header>\n"
    body += HTML.element("nav", [("aria-label", "Contents")], HTML.element("ul", [], contents.joined())) + "\n<main>\n"
    body += sections.map(\.text).joined() + "</main>\n" + HTML.element("footer", [], HTML.paragraph(footer))
    return Self.opening(title, head: Self.policy) + body + Self.closing
  }

  /// Nothing is fetched or run.
  private static let policy = """
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">

    """

  /// What stands before the body of any page, and after it.
  /// - Parameter head: markup besides.
  package static func opening(_ title: String, head: String = "") -> String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    \(head)<title>\(Markup.escaped(title))</title>
    <style>
    \(Drawing.styleSheet)
    \(ReportStyle.sheet)
    </style>
    </head>
    <body>

    """
  }

  package static let closing = "\n</body>\n</html>\n"
}

extension ReportPage.Section {
  var text: String {
    let heading = HTML.element("h2", [("id", "\(id)-title")], Markup.escaped(title))
    return HTML.element("section", [("id", id), ("aria-labelledby", "\(id)-title")], heading + "\n" + body) + "\n"
  }
}
