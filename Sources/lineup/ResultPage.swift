import Dataset
import Foundation
import Pictures
import Report
import Storage
import Tensors

/// What searches found, with pictures, as one page like a report's; written match by match, however many there are.
enum ResultPage {
  /// - Parameter warn: told of pictures that are not there any more.
  static func write(_ results: [SearchResult], to path: String, warn: (String) -> Void) throws {
    func item(_ path: String, _ words: String, _ frame: Frame, _ captions: [String]) throws -> String {
      var picture: Picture?
      do {
        picture = Picture(try ImageCodec.decode(path: path), label: words).reduced(to: Box(0, 0, 256, 128))
      } catch {
        warn("no picture of it: \(error)")
      }
      return HTML.element("li", [], try ImageFigures.figure(RankingSheet.Entry(picture, frame, captions))) + "\n"
    }
    let title = "Lineup: what was found"
    try AtomicFiles.write(to: path) { file in
      try file.write(ReportPage.opening(title) + "<main>\n" + HTML.element("h1", [], title) + "\n")
      for result in results {
        let name = ShownName.last(result.query)
        try file.write(
          "<section class=\"row\">\n" + HTML.element("h2", [], Markup.escaped(name))
            + "\n<ol aria-label=\"Nearest to \(Markup.escaped(name)), nearest first\">\n")
        try file.write(try item(result.query, "The query \(name)", .query, ["query"]))
        for match in result.matches {
          try file.write(
            try item(
              match.path, "Match \(match.rank): identity \(match.shownIdentity), camera \(match.shownCamera)", .plain,
              [
                "rank \(match.rank) · \(QueryRankings.shown(match.distance))", "identity \(match.shownIdentity)",
                "camera \(match.shownCamera)", ShownName.last(match.path),
              ]))
        }
        try file.write("</ol>\n</section>\n")
      }
      try file.write("</main>" + ReportPage.closing)
    }
  }
}
