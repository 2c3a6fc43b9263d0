import Tensors

/// Divides a data set where its authors have not: by identity into training and test, and test images into queries and
/// gallery.
///
/// A split depends on its number, the identities and the paths of their images alone, not on the order that they are listed
/// in, the run's seed, or the number of ranks.
struct RandomSplit: Sendable {
  /// Which one: 0, 1, …
  let number: Int

  /// The identities that are trained on: half of `identities`, the larger half where they are odd, drawn at random.
  func training(of identities: Set<Int>) -> Set<Int> {
    var order = identities.sorted()
    var random = CounterRandom(seed: UInt64(number), purpose: .splitting)
    random.shuffle(&order)
    return Set(order.prefix((order.count + 1) / 2))
  }

  /// Which of the test images `samples` are queries, by their indices; the others are the gallery.
  ///
  /// Of each identity and camera one image, drawn at random, where the camera has another one; where no camera of an
  /// identity has, one image of the identity. So each query has a match under another camera. An identity that one camera
  /// alone has seen gives no query. Of frames a track counts as one image: all of them are queries, or none.
  func queries(of samples: [Sample]) -> Set<Int> {
    var queries: Set<Int> = []
    for (identity, images) in Dictionary(grouping: samples.indices, by: { samples[$0].identity }) {
      let cameras = Dictionary(grouping: Self.units(images, samples)) { samples[$0[0]].camera }
      guard cameras.count > 1 else { continue }
      let repeated = cameras.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }.map(\.value)
      var random = CounterRandom(seed: UInt64(number), epoch: 1, position: identity, purpose: .splitting)
      for group in repeated.isEmpty ? [cameras.values.flatMap(\.self)] : repeated {
        let sorted = group.sorted { samples[$0[0]].path < samples[$1[0]].path }
        queries.formUnion(sorted[random.integer(below: sorted.count)])
      }
    }
    return queries
  }

  /// `images` by their tracks, those of none alone; each in the order of the paths.
  private static func units(_ images: [Int], _ samples: [Sample]) -> [[Int]] {
    let tracks = Dictionary(grouping: images.sorted { samples[$0].path < samples[$1].path }) { samples[$0].track }
    return tracks.flatMap { track, frames in track == nil ? frames.map { [$0] } : [frames] }
  }

  /// Of the test images `samples`, one of each identity, drawn at random, by their indices.
  func onePerIdentity(of samples: [Sample]) -> Set<Int> {
    Set(
      Dictionary(grouping: samples.indices, by: { samples[$0].identity }).map { identity, images in
        var random = CounterRandom(seed: UInt64(number), epoch: 2, position: identity, purpose: .splitting)
        return images.sorted { samples[$0].path < samples[$1].path }[random.integer(below: images.count)]
      })
  }
}
