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
/// The pictures depend on the seed alone, and those of an identity not on how many others there are.
package struct Synthesizer: Sendable {
  package var identities = 64
  /// Pictures of each identity by each camera.
  package var images = 4
  package var cameras = 4
  package var seed: UInt64 = 1
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
  /// Throws `Failure.usage` where the counts make no data set, `Failure.data` where one of the folders has files in
  /// it or cannot be written.
  package func write(to root: String) throws -> ReIDDataset {
    try validate()
    let folders = try FolderLayout.market1501.makeFolders(at: root)

    let scenes = (1...cameras).map { camera in
      var random = self.random(.scene, camera)
      return Scene(&random)
    }
    let training = identities / 2
    for identity in 1...identities {
      let person = appearance(.person, identity)
      for camera in 1...cameras {
        for image in 0..<images {
          let folder = identity <= training ? folders[0] : image == 0 ? folders[1] : folders[2]
          let number = ((identity - 1) * cameras + camera - 1) * images + image
          try write(
            person, scenes[camera - 1], random(.picture(identity: identity), (camera - 1) << 16 | image),
            to: joinPath(folder, name(identity, camera, number + 1)))
        }
      }
    }
    let extras = max((identities - training) / 4, 2)
    for extra in 0..<extras {
      let camera = extra % cameras + 1
      try write(
        appearance(.distractor, extra), scenes[camera - 1], random(.distractorPicture, extra),
        to: joinPath(folders[2], name(0, camera, extra + 1)))
      let victim = training + 1 + extra % (identities - training)
      try write(
        appearance(.person, victim), scenes[camera - 1], random(.junkPicture, extra), displaced: true,
        to: joinPath(folders[2], name(-1, camera, extra + 1)))
    }
    return try ReIDDataset.open(at: root)
  }

  /// The streams of randomness; each counts its own positions.
  private enum Stream {
    case person, scene, distractor, distractorPicture, junkPicture
    case picture(identity: Int)

    var number: Int {
      switch self {
      case .person: 0
      case .scene: 1
      case .distractor: 2
      case .distractorPicture: 3
      case .junkPicture: 4
      case .picture(let identity): 4 + identity
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
    _ person: Appearance, _ scene: Scene, _ random: CounterRandom, displaced: Bool = false, to path: String
  ) throws {
    var random = random
    let picture = scene.picture(of: person, width: width, height: height, displaced: displaced, &random)
    try ImageCodec.write(picture, quality: 75 + random.integer(below: 21), path: path)
  }

  /// As Market-1501 has them, `0001_c1s1_000001_00.jpg`.
  private func name(_ identity: Int, _ camera: Int, _ number: Int) -> String {
    func padded(_ value: Int, _ width: Int) -> String {
      String(repeating: "0", count: max(width - String(value).count, 0)) + String(value)
    }
    return "\(identity < 0 ? "-1" : padded(identity, 4))_c\(camera)s1_\(padded(number, 6))_00.jpg"
  }

  private func validate() throws {
    let counts = [("identities", identities, 4, 9999), ("images", images, 2, 9999), ("cameras", cameras, 2, 99)]
    for (name, value, low, high) in counts where value < low || value > high {
      throw Failure.usage("--\(name) is \(value), expected \(low) to \(high)")
    }
  }
}
