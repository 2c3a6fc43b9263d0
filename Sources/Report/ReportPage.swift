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
      HTML.element("li", [], HTML.element("a", [("href", "#\(section.id)")], HTML.escaped(section.title)))
    }
    var body = "<header>\n" + HTML.element("h1", [], HTML.escaped(title)) + "\n" + introduction + "</header>\n"
    body += HTML.element("nav", [("aria-label", "Contents")], HTML.element("ul", [], contents.joined())) + "\n<main>\n"
    for section in sections {
      let heading = HTML.element("h2", [("id", "\(section.id)-title")], HTML.escaped(section.title))
      body +=
        HTML.element(
          "section", [("id", section.id), ("aria-labelledby", "\(section.id)-title")], heading + "\n" + section.body)
        + "\n"
    }
    body += "</main>\n" + HTML.element("footer", [], HTML.paragraph(footer))
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
      <title>\(HTML.escaped(title))</title>
      <style>
      \(Drawing.styleSheet)
      \(ReportStyle.sheet)
      </style>
      </head>
      <body>
      \(body)
      </body>
      </html>

      """
  }
}
