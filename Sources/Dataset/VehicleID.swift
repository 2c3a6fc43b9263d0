import Foundation
import Storage
import Tensors

/// VehicleID (Liu et al., CVPR 2016): `image/<name>.jpg`, and lists of `name vehicle` in `train_test_split`.
///
/// Tested on one of its lists, of 800, 1,600 or 2,400 vehicles: one image of each, drawn by `RandomSplit`, is the gallery, all
/// others are queries. It knows no cameras: each image is its own.
enum VehicleID {
  static let places = ["", "VehicleID", "vehicleid", "VehicleID_V1.0", "vehicleid/VehicleID_V1.0"]
  static let marker = "train_test_split/train_list.txt"

  /// - Parameter vehicles: of the test, 800, 1600 or 2400.
  static func open(at root: String, vehicles: Int, split: RandomSplit) throws -> ReIDDataset {
    let train = try samples(root, joinPath(root, marker), first: 1)
    let test = try samples(root, joinPath(root, "train_test_split/test_list_\(vehicles).txt"), first: train.count + 1)
    let chosen = split.onePerIdentity(of: test)
    return ReIDDataset(
      name: "VehicleID, \(vehicles) vehicles of test, split \(split.number)", root: root, train: train,
      query: test.indices.filter { !chosen.contains($0) }.map { test[$0] },
      gallery: test.indices.filter(chosen.contains).map { test[$0] })
  }

  /// - Parameter first: the camera of the first image.
  private static func samples(_ root: String, _ list: String, first: Int) throws -> [Sample] {
    let text = try InputFile.text(list, limit: 1 << 28)
    var samples: [Sample] = []
    for (index, line) in text.split(whereSeparator: \.isNewline).enumerated() {
      let fields = line.split(separator: " ")
      guard fields.count == 2, let vehicle = Int(fields[1]) else {
        throw Failure.data(
          "\(list):\(index + 1)", "expected \"name vehicle\", found \"\(Printable.line(String(line), limit: 60))\"")
      }
      samples.append(
        Sample(path: joinPath(root, "image/\(fields[0]).jpg"), identity: vehicle, camera: first + samples.count))
    }
    if samples.isEmpty { throw Failure.data(list, "no image in it") }
    return samples
  }
}
