/// One image of a data set, with what is known about it.
package struct Sample: Sendable, Equatable, Hashable, Codable {
  /// The image file, as it can be opened.
  package let path: String
  /// The person (or vehicle); −1 unknown or junk, 0 a distractor in Market-1501's layout.
  package let identity: Int
  /// The camera as the data set numbers it; −1 unknown.
  package let camera: Int
  /// The track that it is a frame of; nil for a single image. Frames of a track have one identity and one camera.
  package let track: Int?
  /// Where its face is, in pixels of the upright image; nil where none is known.
  package let face: Rectangle?
  /// The group of people that it is seen in; nil where none is told.
  package let group: Int?

  package init(
    path: String, identity: Int, camera: Int, track: Int? = nil, face: Rectangle? = nil, group: Int? = nil
  ) {
    self.path = path
    (self.track, self.face, self.group) = (track, face, group)
    self.identity = identity
    self.camera = camera
  }

  /// The class of every identity among `samples`: 0, 1, … in ascending order of the identities.
  package static func classes(of samples: [Sample]) -> [Int: Int] { numbered(samples.map(\.identity)) }

  /// The class of every camera likewise.
  package static func cameraClasses(of samples: [Sample]) -> [Int: Int] { numbered(samples.map(\.camera)) }

  private static func numbered(_ labels: [Int]) -> [Int: Int] {
    Dictionary(uniqueKeysWithValues: Set(labels).sorted().enumerated().map { ($1, $0) })
  }
}
