import Foundation
import Storage
import Tensors

/// A data set of three folders whose files are named by identity and camera: Market-1501 and those like it (DukeMTMC-reID,
/// Occluded-Duke, CUHK03 in its new protocol).
///
/// Market-1501 (Zheng et al., "Scalable person re-identification: a benchmark", ICCV 2015): identity −1 is junk and
/// dropped; 0 is a distractor, which belongs in the gallery only.
struct FolderLayout: Sendable {
  let name: String
  /// The folders of the three splits; the first also tells that this layout is there.
  let train: String, query: String, gallery: String
  /// Where below the given root the folders are looked for; "" is the root itself.
  let places: [String]

  static let market1501 = FolderLayout(
    name: "Market-1501 layout", train: "bounding_box_train", query: "query", gallery: "bounding_box_test",
    places: [
      "", "Market-1501-v15.09.15", "market1501", "market1501/Market-1501-v15.09.15", "Market-1501", "Market1501",
      "DukeMTMC-reID", "dukemtmc-reid", "dukemtmc-reid/DukeMTMC-reID", "Occluded_Duke", "cuhk03-np/detected",
      "CUHK03-NP/detected", "detected", "cuhk03-np/labeled", "CUHK03-NP/labeled", "labeled",
    ])

  /// VeRi (Liu et al., ECCV 2016): vehicles, the same names.
  static let veri = FolderLayout(
    name: "VeRi layout", train: "image_train", query: "image_query", gallery: "image_test",
    places: ["", "VeRi", "veri", "VeRi/VeRi"])

  /// The three splits below `root`, each in the order of its file names.
  func open(at root: String) throws -> ReIDDataset {
    ReIDDataset(
      name: name, root: root,
      train: try samples(in: joinPath(root, train)).filter { $0.identity > 0 },
      query: try samples(in: joinPath(root, query)).filter { $0.identity > 0 },
      gallery: try samples(in: joinPath(root, gallery)))
  }

  /// The folders of a data set that is going to be written: of training, queries and gallery.
  /// - Throws: `Failure.data` where `root` is no new or empty folder.
  func makeFolders(at root: String) throws -> [String] {
    if let files = try? FileManager.default.contentsOfDirectory(atPath: root),
      let first = files.filter({ !$0.hasPrefix(".") }).min()
    {
      throw Failure.data(root, "has files in it already, such as \(first); a data set is written to a new folder only")
    }
    let folders = [train, query, gallery].map { joinPath(root, $0) }
    for folder in folders { try AtomicFiles.makeDirectory(folder) }
    return folders
  }

  func folder(of split: ReIDDataset.Split) -> String {
    switch split {
    case .train: train
    case .query: query
    case .gallery: gallery
    }
  }

  private func samples(in folder: String) throws -> [Sample] {
    var samples: [Sample] = []
    for file in try ImageFolder.names(in: folder) {
      let path = joinPath(folder, file)
      guard let name = MarketName(file) else {
        throw Failure.data(path, "the name does not tell identity and camera, as 0002_c1s1_000451_03.jpg does")
      }
      if name.identity >= 0 { samples.append(Sample(path: path, identity: name.identity, camera: name.camera)) }
    }
    return samples
  }
}

/// Identity and camera of a file name: the first match of `([-\d]+)_c(\d+)`.
struct MarketName: Equatable {
  let identity: Int, camera: Int

  /// Nil where the pattern does not occur or its numbers are none (such as `--1`).
  init?(_ file: String) {
    var file = file
    guard let numbers = file.withUTF8(Self.numbers) else { return nil }
    (identity, camera) = numbers
  }

  private static func numbers(_ bytes: UnsafeBufferPointer<UInt8>) -> (Int, Int)? {
    func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    func integer(_ range: Range<Int>) -> Int? { Int(String(decoding: bytes[range], as: UTF8.self)) }
    for mark in 1..<max(bytes.count - 2, 1) {
      guard bytes[mark] == UInt8(ascii: "_"), bytes[mark + 1] == UInt8(ascii: "c"), isDigit(bytes[mark + 2])
      else { continue }
      var start = mark, end = mark + 2
      while start > 0, isDigit(bytes[start - 1]) || bytes[start - 1] == UInt8(ascii: "-") { start -= 1 }
      if start == mark { continue }
      while end < bytes.count, isDigit(bytes[end]) { end += 1 }
      guard let identity = integer(start..<mark), let camera = integer(mark + 2..<end) else { return nil }
      return (identity, camera)
    }
    return nil
  }
}
