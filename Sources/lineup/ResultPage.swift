import Dataset
import Foundation
import Retrieval
import Storage
import Tensors

/// What searches found, with pictures, as one HTML file without scripts that needs nothing else.
enum ResultPage {
  /// - Parameter warn: told of pictures that are not there any more.
  static func write(_ results: [SearchResult], to path: String, warn: (String) -> Void) throws {
    try AtomicFiles.write(to: path) { file in
      try file.write(head)
      for result in results {
        let name = escaped(fileName(result.query))
        try file.write(
          "<section>\n<h2>\(name)</h2>\n<div class=\"result\">\n<figure class=\"query\">"
            + "\(picture(result.query, "The query \(fileName(result.query))", warn))<figcaption>Query</figcaption></figure>\n"
            + "<ol aria-label=\"Nearest to \(name), nearest first\">\n")
        for match in result.matches {
          let words = "Match \(match.rank): identity \(match.identity), camera \(match.camera)"
          let distance = String(format: "%.4g", match.distance)
          try file.write(
            "<li>\(picture(match.path, words, warn))<dl><dt>Rank</dt><dd>\(match.rank)</dd><dt>Distance</dt><dd>\(distance)</dd>"
              + "<dt>Identity</dt><dd>\(match.identity)</dd><dt>Camera</dt><dd>\(match.camera)</dd></dl>"
              + "<p class=\"name\">\(escaped(fileName(match.path)))</p></li>\n")
        }
        try file.write("</ol>\n</div>\n</section>\n")
      }
      try file.write("</main>\n</body>\n</html>\n")
    }
  }

  private static func picture(_ path: String, _ words: String, _ warn: (String) -> Void) -> String {
    do {
      let bytes = try Thumbnail.jpeg(of: try ImageCodec.decode(path: path), height: 256, path: path)
      return "<img alt=\"\(escaped(words))\" src=\"data:image/jpeg;base64,\(Data(bytes).base64EncodedString())\">"
    } catch {
      warn("no picture of it: \(error)")
      return "<p class=\"missing\">\(escaped(words)): no picture</p>"
    }
  }

  private static func fileName(_ path: String) -> String {
    Printable.line(path.split(separator: "/").last.map(String.init) ?? path, limit: 200)
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  private static let head = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Lineup: what was found</title>
    <style>
    :root { --paper: #fbfaf8; --ink: #1d1d1f; --faint: #5f6168; --line: #d9d7d2; --card: #fff; --accent: #0b57a4; }
    @media (prefers-color-scheme: dark) {
      :root { --paper: #15171a; --ink: #ececee; --faint: #a3a7af; --line: #34383f; --card: #1e2126; --accent: #8cc2ff; }
    }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem); max-width: 84rem; background: var(--paper);
      color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
    h1 { margin: 0 0 1rem; font-size: 1.5rem; }
    h2 { margin: 2rem 0 .75rem; font-size: 1.1rem; overflow-wrap: anywhere; }
    .result { display: grid; gap: 1rem; grid-template-columns: 9.5rem minmax(0, 1fr); align-items: start; }
    @media (max-width: 40rem) { .result { grid-template-columns: minmax(0, 1fr); } .query { max-width: 9.5rem; } }
    ol { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
      grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
    figure, li { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
      break-inside: avoid; }
    .query { border: 2px solid var(--accent); }
    img { display: block; width: 100%; height: 13rem; object-fit: contain; border-radius: .4rem; }
    figcaption { text-align: center; font-weight: 600; }
    dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .5rem; margin: .5rem 0 0; font-size: .875rem; }
    dt, dd { margin: 0; }
    dt, .name, .missing { color: var(--faint); }
    dd { text-align: right; font-variant-numeric: tabular-nums; }
    .name { margin: 0; font-size: .8rem; overflow-wrap: anywhere; }
    </style>
    </head>
    <body>
    <main>
    <h1>Lineup: what was found</h1>

    """
}
