import Dataset
import Foundation
import Retrieval
import Tensors

/// What a search found for one query, as it is printed and written.
struct SearchResult: Encodable {
  struct Match: Encodable {
    let rank: Int, row: Int, distance: Double, identity: Int, camera: Int
    /// What identity and camera are called, where they have names.
    let identityName: String?, cameraName: String?
    let path: String

    var shownIdentity: String { LabelNames.shown(identityName ?? "\(identity)") }
    var shownCamera: String { LabelNames.shown(cameraName ?? "\(camera)") }
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
        identityName: gallery.names.identities[sample.identity], cameraName: gallery.names.cameras[sample.camera],
        path: sample.path)
    }
  }

  /// A line a match.
  var table: String {
    // Names are as long as they are.
    func right(_ text: some CustomStringConvertible, _ width: Int, apart: Int = 2) -> String {
      let text = "\(text)"
      return String(repeating: " ", count: max(apart, width - text.count)) + text
    }
    let head = "\(Printable.line(query)): nearest by \(metric) distance\nrank    distance  identity  camera  path"
    let lines = matches.map { match in
      let distance = String(format: "%.6g", match.distance)
      return right(match.rank, 4, apart: 0) + right(distance, 12) + right(match.shownIdentity, 10)
        + right(match.shownCamera, 8)
        + "  \(Printable.line(match.path))"
    }
    return ([head] + (lines.isEmpty ? ["none"] : lines)).joined(separator: "\n")
  }
}
