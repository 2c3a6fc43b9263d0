import Tensors

/// What a run learns from and is judged by: one data set, or several.
package struct RunData: Sendable {
  /// Training images of all data sets. Of one alone identities and cameras are as it numbers them; of several they are kept
  /// apart, numbered from 0 set after set.
  package let train: [Sample]
  /// How many of `train` each data set has, one after the other.
  package let sizes: [Int]
  /// What is tested on. The figures of the first decide which checkpoint is the best.
  package let tests: [ReIDDataset]
  /// Of `tests`, as rows of results and fields of metrics are named.
  package let names: [String]

  /// `sets` are trained on, and tested on where they have test images; so are those of `tests`, whose training images do not
  /// count.
  package init(_ sets: [ReIDDataset], tests: [ReIDDataset] = []) {
    train = sets.count == 1 ? sets[0].train : Self.apart(sets.map(\.train))
    sizes = sets.map(\.train.count)
    self.tests = sets.filter(\.hasTest) + tests
    let last = self.tests.map { $0.root.split(separator: "/").last.map(String.init) ?? $0.root }
    let roots = self.tests.map(\.root)
    names = last.indices.map { index in last.count { $0 == last[index] } == 1 ? last[index] : roots[index] }
  }

  /// Images to evaluate on at once, at most.
  package var mostTestImages: Int { tests.map { $0.query.count + $0.gallery.count }.max() ?? 0 }

  private static func apart(_ sets: [[Sample]]) -> [Sample] {
    var identities = 0, cameras = 0, all: [Sample] = []
    for samples in sets {
      let classes = Sample.classes(of: samples), places = Sample.cameraClasses(of: samples)
      all += samples.map {
        Sample(
          path: $0.path, identity: identities + classes[$0.identity]!, camera: cameras + places[$0.camera]!,
          face: $0.face)
      }
      (identities, cameras) = (identities + classes.count, cameras + places.count)
    }
    return all
  }
}
