import Foundation
import Storage
import Tensors

/// Writes a data set of generated people in the layout of Market-1501: for tests, demonstrations and the quickstart.
///
/// Identities differ by build, hair, clothes, their patterns, and bags; cameras by background, colours and sharpness;
/// pictures by view, pose, place, light, noise and things in front. So pixels alone find a person badly, while a small
/// network learns what counts and finds people it was not trained on.
///
/// The first half of the identities (rounded down) is for training. Of each other identity and camera one picture is
/// a query and the rest are in the gallery, with distractors (identity 0000: other people) and junk (identity −1: bad
/// detections of the test identities), a quarter as many of each as there are test identities, but two at least.
///
/// The pictures depend on the seed alone, and those of an identity not on how many others there are. `labels` adds a file and
/// leaves every picture as it is; `occlusion` and `partial` change queries alone.
package struct Synthesizer: Sendable {
  package var identities = 64
  /// Pictures of each identity by each camera.
  package var images = 4
  package var cameras = 4
  package var seed: UInt64 = 1
  /// Whether what is known of each picture is written too (`SyntheticLabels`).
  package var labels = false
  /// How many of the queries have an `Obstacle` in front.
  package var occlusion = 0.0
  /// How many of the queries are cut to a `BodyPart` other than the whole.
  package var partial = 0.0
  /// Of the pictures, pixels.
  package var width = 64, height = 128

  package init(identities: Int = 64, images: Int = 4, cameras: Int = 4, seed: UInt64 = 1) {
    self.identities = identities
    self.images = images
    self.cameras = cameras
    self.seed = seed
  }

  /// Writes the three folders below `root`, which is created where it is missing, and opens what was written.
  ///
  /// Throws `Failure.usage` where the counts make no data set or a share is none, `Failure.data` where one of the folders has files in
  /// it or cannot be written.
  package func write(to root: String) throws -> ReIDDataset {
    try validate()
    _ = try FolderLayout.market1501.makeFolders(at: root)
    let scenes = (1...cameras).map { camera in
      var random = self.random(.scene, camera)
      return Scene(&random)
    }
    let training = identities / 2
    let groups = SyntheticLabels.groups(of: [1...training, training + 1...identities], random(.groups, 0))
    var table = SyntheticLabels()
    for identity in 1...identities {
      let person = appearance(.person, identity)
      for camera in 1...cameras {
        for image in 0..<images {
          let number = ((identity - 1) * cameras + camera - 1) * images + image + 1
          let place = SyntheticLabels.Place(
            split: identity <= training ? .train : image == 0 ? .query : .gallery, identity: identity, camera: camera,
            number: number)
          let picture = try write(
            person, scenes[camera - 1], random(.picture(identity: identity), (camera - 1) << 16 | image), place, root)
          table.add(
            place, person, picture, isOccluded: obstacle(place) != nil, part: part(place), group: groups[identity])
        }
      }
    }
    let extras = max((identities - training) / 4, 2)
    for extra in 0..<extras {
      let camera = extra % cameras + 1, victim = training + 1 + extra % (identities - training)
      let others = [
        (0, appearance(.distractor, extra), random(.distractorPicture, extra)),
        (-1, appearance(.person, victim), random(.junkPicture, extra)),
      ]
      for (identity, person, random) in others {
        let place = SyntheticLabels.Place(split: .gallery, identity: identity, camera: camera, number: extra + 1)
        let picture = try write(person, scenes[camera - 1], random, place, root)
        table.add(place, person, picture, isOccluded: false, part: nil)
      }
    }
    if labels { try AtomicFiles.write(table.text, to: joinPath(root, SyntheticLabels.file)) }
    return try ReIDDataset.open(at: root)
  }

  /// The streams of randomness; each counts its own positions.
  private enum Stream {
    case person, scene, distractor, distractorPicture, junkPicture
    case picture(identity: Int)
    case groups, obstacle, part

    var number: Int {
      switch self {
      case .person: 0
      case .scene: 1
      case .distractor: 2
      case .distractorPicture: 3
      case .junkPicture: 4
      case .picture(let identity): 4 + identity
      case .groups: -1
      case .obstacle: -2
      case .part: -3
      }
    }
  }

  private func random(_ stream: Stream, _ position: Int) -> CounterRandom {
    CounterRandom(seed: seed, epoch: stream.number, position: position, purpose: .synthesis)
  }

  private func appearance(_ stream: Stream, _ index: Int) -> Appearance {
    var random = self.random(stream, index)
    return Appearance(&random)
  }

  private func write(
    _ person: Appearance, _ scene: Scene, _ random: CounterRandom, _ place: SyntheticLabels.Place, _ root: String
  ) throws -> Scene.Picture {
    var random = random
    var picture = scene.picture(
      of: person, width: width, height: height, displaced: place.identity < 0, behind: obstacle(place), &random)
    if let part = part(place) { picture = picture.cropped(to: part) }
    try ImageCodec.write(picture.image, quality: 75 + random.integer(below: 21), path: joinPath(root, place.path))
    return picture
  }

  private func obstacle(_ place: SyntheticLabels.Place) -> Obstacle? {
    var random = self.random(.obstacle, place.number)
    return place.split == .query && random.uniform() < occlusion ? Obstacle(&random) : nil
  }

  private func part(_ place: SyntheticLabels.Place) -> BodyPart? {
    var random = self.random(.part, place.number)
    return place.split == .query && random.uniform() < partial ? BodyPart.drawn(&random) : nil
  }

  private func validate() throws {
    let counts = [("identities", identities, 4, 9999), ("images", images, 2, 9999), ("cameras", cameras, 2, 99)]
    for (name, value, low, high) in counts where value < low || value > high {
      throw Failure.usage("--\(name) is \(value), expected \(low) to \(high)")
    }
    for (name, share) in [("occlusion", occlusion), ("partial", partial)] where !(0...1).contains(share) {
      throw Failure.usage("--\(name) is \(share), expected 0 to 1")
    }
  }
}
