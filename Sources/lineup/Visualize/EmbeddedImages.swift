import Dataset
import Evaluation
import Foundation
import Pictures
import Storage
import Tensors
import Training

/// Images, or tracks, and their features, to be put in a plane.
struct EmbeddedImages {
  let features: LabelledFeatures
  var count: Int { features.matrix.rows }

  /// - Parameter metric: by whose distances the plane is made.
  /// - Throws: `Failure.data` where there are fewer than four points.
  init(_ features: FeatureMatrix, _ samples: [Sample], _ metric: DistanceMetric) throws {
    let means = try Evaluator.labelled("features", features, samples).meansOfTracks(samples.map(\.track))
    guard means.matrix.rows >= 4 else {
      throw Failure.data("\(means.matrix.rows) images that can be decoded; a map takes four or more")
    }
    guard metric == .cosine else {
      self.features = means
      return
    }
    self.features = try LabelledFeatures(
      name: means.name, matrix: means.matrix.unitRows, paths: means.paths, identities: means.identities,
      cameras: means.cameras)
  }

  /// - Parameters:
  ///   - samples: of which each point is one.
  ///   - names: of their identities and cameras.
  ///   - say: a line of an image that cannot be read any more.
  func map(
    _ title: String, _ remark: String, at plane: [Point], _ configuration: Configuration, _ samples: [Sample],
    _ names: LabelNames, say: (String) -> Void
  ) -> EmbeddingMap {
    var pictures = SamplePictures(samples, configuration, width: 34, height: 34 * configuration.aspect)
    let numbers = Dictionary(uniqueKeysWithValues: Set(features.identities).sorted().enumerated().map { ($1, $0) })
    let items = (0..<count).map { row in
      let identity = features.identities[row], name = names.shownIdentity(identity)
      return EmbeddingMap.Item(
        pictures.picture(
          features.paths[row], label: "identity \(name), camera \(names.shownCamera(features.cameras[row]))"),
        plane[row], identity: numbers[identity]!, label: name)
    }
    for reason in pictures.damaged { say("not drawn: \(reason)") }
    return EmbeddingMap(
      title, "\(count) images of \(numbers.count) identities, framed in their colours; \(remark)", items,
      aspect: configuration.aspect)
  }

  /// A row a point.
  func csv(_ plane: [Point]) -> String {
    var text = "path,identity,camera,x,y\n"
    for (row, point) in plane.enumerated() {
      text +=
        "\(CSVTable.field(features.paths[row])),\(features.identities[row]),\(features.cameras[row]),\(point.x),\(point.y)\n"
    }
    return text
  }
}
