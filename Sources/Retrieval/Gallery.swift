import Dataset
import Evaluation
import Tensors

/// A gallery that can be searched: an index's, or one whose features were made just now.
package struct Gallery: Sendable {
  package let samples: [Sample]
  /// Of their identities and cameras.
  package let names: LabelNames
  /// The cameras that there are, ascending.
  package let cameras: [Int]
  private let search: ExactSearch

  /// - Throws: `Failure.data` that names the index's file for a row that holds no features.
  package init(_ index: GalleryIndex, parallelFor: ParallelFor) throws {
    try self.init(
      index.samples, index.features, index.metric, index.names, name: index.features.path, parallelFor: parallelFor)
  }

  /// - Parameter features: as the network has them. (samples.count, columns)
  package init(
    _ samples: [Sample], _ features: FeatureMatrix, _ metric: DistanceMetric, _ names: LabelNames = LabelNames(),
    name: String, parallelFor: ParallelFor
  ) throws {
    let features = metric == .cosine ? features.unitRows : features
    try self.init(samples, features as any FeatureRows, metric, names, name: name, parallelFor: parallelFor)
  }

  private init(
    _ samples: [Sample], _ features: any FeatureRows, _ metric: DistanceMetric, _ names: LabelNames, name: String,
    parallelFor: ParallelFor
  ) throws {
    precondition(samples.count == features.rows)
    (self.samples, self.names) = (samples, names)
    cameras = Set(samples.map(\.camera)).sorted()
    search = try ExactSearch(features, metric, name: name, parallelFor: parallelFor)
  }

  package var metric: DistanceMetric { search.metric }
  /// The length of a feature.
  package var columns: Int { search.features.columns }

  /// The nearest `count` images that `filter` lets pass.
  package func nearest(
    _ count: Int, to query: [Float], _ filter: CameraFilter = CameraFilter(), parallelFor: ParallelFor
  ) throws -> [Match] {
    let isKept: ((Int) -> Bool)? = filter.isOpen ? nil : { filter.allows(samples[$0].camera) }
    let matches = try search.nearest(count, to: query, parallelFor: parallelFor, where: isKept).matches
    // A row's length is 1 but for its rounding to float32, and so a cosine may be a little more.
    return matches.map { Match(row: $0.row, distance: max(0, $0.distance)) }
  }
}

/// Which cameras' images may be found.
package struct CameraFilter: Sendable, Equatable {
  /// Only these; nil for all.
  package var only: Set<Int>?
  package var without: Set<Int> = []

  package init(only: Set<Int>? = nil, without: Set<Int> = []) { (self.only, self.without) = (only, without) }

  var isOpen: Bool { only == nil && without.isEmpty }

  func allows(_ camera: Int) -> Bool { (only?.contains(camera) ?? true) && !without.contains(camera) }

  /// Cameras as people write them: `c1,c3`, `1,3`, `-1` for an unknown one, or their names, where they have them.
  /// - Throws: `Failure.usage` with the word that is none, or that none of `cameras` has.
  package static func cameras(
    _ text: String, among cameras: [Int], named names: [Int: String] = [:], of option: String
  ) throws -> Set<Int> {
    var chosen: Set<Int> = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      let word = word.trimmingPrefix { $0 == " " }
      if let named = names.first(where: { $0.value == word })?.key {
        chosen.insert(named)
        continue
      }
      guard let camera = Int(word.first == "c" || word.first == "C" ? word.dropFirst() : word) else {
        let shown = "\"\(Printable.line(String(word), limit: 60))\""
        guard names.isEmpty else {
          throw Failure.usage(option, "no camera is called \(shown); there are \(listed(cameras, names))")
        }
        throw Failure.usage(option, "\(shown) is no camera; expected numbers such as 1,3")
      }
      guard cameras.contains(camera) else {
        throw Failure.usage(option, "no image is of camera \(camera); there are \(listed(cameras, names))")
      }
      chosen.insert(camera)
    }
    return chosen
  }

  private static func listed(_ cameras: [Int], _ names: [Int: String]) -> String {
    cameras.prefix(20).map { LabelNames.shown(names[$0] ?? "\($0)") }.joined(separator: ", ")
      + (cameras.count > 20 ? ", …" : "")
  }
}
