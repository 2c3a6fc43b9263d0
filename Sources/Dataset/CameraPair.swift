import Storage
import Tensors

/// A data set of two folders, `cam_a` and `cam_b`, an image of each person in each: VIPeR (Gray et al., 2007, its pictures saved
/// as PNG) and PRID 2011, single shot (Hirzer et al., 2011).
///
/// A person is the first number of a file's name (`000_45.png`, `person_0001.png`). Half of the persons that both cameras have
/// seen are trained on, by `RandomSplit`; the others are searched for with their images of `cam_a` among those of `cam_b`. In PRID
/// only the first 200 numbers are the same person in both folders; further persons of its `cam_b` are in the gallery too, as is
/// usual, and those of its `cam_a` nowhere.
struct CameraPairLayout: Sendable {
  let name: String
  let places: [String]
  /// Numbers up to it are the same person in both folders.
  let shared: Int
  static let marker = "cam_a", other = "cam_b"

  static let viper = CameraPairLayout(name: "VIPeR", places: ["VIPeR", "viper", "viper/VIPeR"], shared: .max)
  static let prid = CameraPairLayout(
    name: "PRID 2011, single shot",
    places: ["prid_2011/single_shot", "prid2011/prid_2011/single_shot", "PRID2011/single_shot", "single_shot"],
    shared: 200)

  /// The layout of a folder that holds `cam_a` itself: PRID's files are named `person_…`.
  static func ofFolder(_ root: String) throws -> CameraPairLayout {
    try ImageFolder.names(in: joinPath(root, marker)).allSatisfy { $0.hasPrefix("person") } ? prid : viper
  }

  func open(at root: String, split: RandomSplit) throws -> ReIDDataset {
    let a = try samples(joinPath(root, Self.marker), camera: 1), b = try samples(joinPath(root, Self.other), camera: 2)
    let both = Set(a.map(\.identity)).intersection(b.map(\.identity)).filter { $0 <= shared }
    if both.isEmpty { throw Failure.data(root, "no person is in both \(Self.marker) and \(Self.other)") }
    let training = split.training(of: both)
    return ReIDDataset(
      name: "\(name), split \(split.number) by identity", root: root,
      train: (a + b).filter { training.contains($0.identity) },
      query: a.filter { both.contains($0.identity) && !training.contains($0.identity) },
      gallery: b.filter { !training.contains($0.identity) })
  }

  private func samples(_ folder: String, camera: Int) throws -> [Sample] {
    try ImageFolder.names(in: folder).map { file in
      let digits = file.drop { !($0.isASCII && $0.isNumber) }.prefix { $0.isASCII && $0.isNumber }
      guard let identity = Int(digits) else {
        throw Failure.data(
          joinPath(folder, file), "the name does not tell a person, as 000_45.png or person_0001.png does")
      }
      return Sample(path: joinPath(folder, file), identity: identity, camera: camera)
    }
  }
}
