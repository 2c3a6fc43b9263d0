import Dataset
import Foundation
import Retrieval
import Tensors

/// What a search found for one query, as it is printed and written.
struct SearchResult: Encodable {
  struct Match: Encodable {
    let rank: Int, row: Int, distance: Double, identity: Int, camera: Int, path: String
  }
  let query: String
  /// Of `DistanceMetric`.
  let metric: String
  let matches: [Match]

  init(_ query: String, _ matches: [Retrieval.Match], _ gallery: Gallery) {
    (self.query, metric) = (query, gallery.metric.rawValue)
    self.matches = matches.enumerated().map { rank, match in
      let sample = gallery.samples[match.row]
      return Match(
        rank: rank + 1, row: match.row, distance: match.distance, identity: sample.identity, camera: sample.camera,
        path: sample.path)
    }
  }

  /// A line a match.
  var table: String {
    func right(_ text: some CustomStringConvertible, _ width: Int) -> String {
      let text = "\(text)"
      return String(repeating: " ", count: max(0, width - text.count)) + text
    }
    let head = "\(Printable.line(query)): nearest by \(metric) distance\nrank    distance  identity  camera  path"
    let lines = matches.map { match in
      let distance = String(format: "%.6g", match.distance)
      return right(match.rank, 4) + right(distance, 12) + right(match.identity, 10) + right(match.camera, 8)
        + "  \(Printable.line(match.path))"
    }
    return ([head] + (lines.isEmpty ? ["none"] : lines)).joined(separator: "\n")
  }
}
