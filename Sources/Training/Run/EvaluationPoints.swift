import Dataset
import Evaluation
import Foundation
import TensorBoard

/// Some images of an evaluation with their features: all those of a few identities, spread over the ones that are searched for,
/// the same at every evaluation.
struct EvaluationPoints {
  /// Of the files.
  let images: [String]
  /// (images.count, columns), row after row.
  let vectors: [Float]
  let labels: ProjectorFolder.Table

  init(_ query: LabelledFeatures, _ gallery: LabelledFeatures, _ names: LabelNames, most: Int) {
    var rows: [Int: [(set: String, features: LabelledFeatures, row: Int)]] = [:], order: [Int] = []
    for (set, features) in [("query", query), ("gallery", gallery)] {
      for (row, identity) in features.identities.enumerated() where identity >= 0 {
        // An identity that nobody searches for, such as that of all distractors, is none to look at.
        if rows[identity] == nil && set == "gallery" { continue }
        if rows[identity] == nil { order.append(identity) }
        rows[identity, default: []].append((set, features, row))
      }
    }
    let mean = Double(rows.values.reduce(0) { $0 + $1.count }) / Double(max(1, order.count))
    let few = order.evenly(max(1, Int(Double(most) / max(1, mean))))
    let points = few.flatMap { rows[$0]! }.prefix(most)
    images = points.map { $0.features.paths[$0.row] }
    vectors = points.flatMap { point in
      let columns = point.features.matrix.columns
      return point.features.matrix.values[point.row * columns..<(point.row + 1) * columns]
    }
    labels = ProjectorFolder.Table(
      columns: ["identity", "camera", "image", "set"],
      rows: points.map { point in
        [
          names.shownIdentity(point.features.identities[point.row]),
          names.shownCamera(point.features.cameras[point.row]),
          URL(fileURLWithPath: point.features.paths[point.row]).lastPathComponent, point.set,
        ]
      })
  }
}
