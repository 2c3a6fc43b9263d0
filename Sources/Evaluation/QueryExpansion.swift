import Foundation
import Tensors

/// `evaluation.expansion`: whether features are replaced by means of their neighbourhoods.
package enum ExpansionChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, average

    package var meaning: String {
      switch self {
      case .none: "no"
      case .average:
        "by weighted means of the nearest among queries and gallery (average query expansion, fast-reid's AQE)"
      }
    }
  }

  case none(NoOptions), average(AverageExpansion)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .average: self = .average(try read(AverageExpansion.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .average(let options): (.average, options)
    }
  }

  /// How to expand, if at all.
  package var expansion: AverageExpansion? {
    if case .average(let options) = self { options } else { nil }
  }
}

/// Average query expansion (Chum et al., "Total Recall", 2007) with weights as in Radenović et al. (2018): every feature x,
/// of queries and gallery, becomes (1/k) Σ sᵢ^α xᵢ over its k nearest xᵢ by cosine among queries and gallery together,
/// itself the first, with sᵢ = max(0, their cosine). As fast-reid's `aqe`; a negative cosine has no power there.
package struct AverageExpansion: Options {
  package var neighbours = 10
  package var alpha = 3.0
  package init() {}

  /// - Throws: `Failure.usage` for a value out of range.
  package init(neighbours: Int, alpha: Double) throws {
    guard (1...1000).contains(neighbours) else {
      throw Failure.usage("expansion: \(neighbours) neighbours; expected 1 to 1000")
    }
    guard (0...100).contains(alpha) else { throw Failure.usage("expansion: alpha = \(alpha) is not within 0 … 100") }
    (self.neighbours, self.alpha) = (neighbours, alpha)
  }

  package static var fields: [OptionField<Self>] {
    [
      .integer("neighbours", \.neighbours, 1...1000, "k: the images of a mean, itself among them."),
      .number("alpha", \.alpha, 0...100, "α: the power of the cosine that is the weight of an image."),
    ]
  }

  /// The expanded features of both sets; the same bits for any number of `shares` and threads.
  ///
  /// - Throws: what `shares` throws.
  func expand(
    _ query: LabelledFeatures, _ gallery: LabelledFeatures, shares: some RowShares, parallelFor: ParallelFor
  ) throws -> (query: LabelledFeatures, gallery: LabelledFeatures) {
    let all = query.matrix.appending(gallery.matrix), columns = all.columns
    let distances = Distances(query: all, gallery: all, metric: .cosine)
    let nearest = try NearestNeighbours(distances, count: neighbours, shares: shares, parallelFor: parallelFor)
    let jobs = blocks(of: 0..<all.rows, size: Distances.blockRows), own = jobs[shares.own(jobs.count)]
    let made = parallelMap(own.count, parallelFor) { job in
      own[own.startIndex + job].flatMap { row -> [Float] in
        var sums = [Double](repeating: 0, count: columns)
        let rows = nearest.neighbours(of: row, neighbours)
        for other in rows {
          let cosine = 1 - distances.distance(query: row, gallery: Int(other)), weight = pow(max(0, cosine), alpha)
          for column in 0..<columns { sums[column] += weight * Double(all.values[Int(other) * columns + column]) }
        }
        return sums.map { Float($0 / Double(rows.count)) }
      }
    }
    let values = try shares.gather(Array(made.joined())), cut = query.matrix.rows * columns
    return (query.replacing(Array(values[..<cut])), gallery.replacing(Array(values[cut...])))
  }
}

extension LabelledFeatures {
  /// The queries of the multi-query protocol (Zheng et al., "Scalable Person Re-identification", 2015): a query's feature
  /// is the mean of all of its identity and camera, in these queries and in `gallery`, whose images of that identity and
  /// camera are ignored for it anyway. A query of junk stays as it is.
  func poolingCameras(with gallery: LabelledFeatures) -> LabelledFeatures {
    struct View: Hashable { let identity: Int, camera: Int }
    let columns = matrix.columns
    var slots: [View: Int] = [:]
    for (row, identity) in identities.enumerated() where !Self.isJunk(identity) {
      let view = View(identity: identity, camera: cameras[row])
      slots[view] = slots[view] ?? slots.count
    }
    var means = RowMeans(count: slots.count, columns: columns)
    for features in [self, gallery] {
      for (row, identity) in features.identities.enumerated() {
        guard let slot = slots[View(identity: identity, camera: features.cameras[row])] else { continue }
        means.add(features.matrix, row: row, to: slot)
      }
    }
    var values = matrix.values
    for row in identities.indices {
      guard let slot = slots[View(identity: identities[row], camera: cameras[row])] else { continue }
      values.replaceSubrange(row * columns..<(row + 1) * columns, with: means[slot])
    }
    return replacing(values)
  }
}
