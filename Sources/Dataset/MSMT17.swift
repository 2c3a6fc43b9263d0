import Foundation
import Storage
import Tensors

/// MSMT17 (Wei et al., "Person transfer GAN to bridge domain gap for person re-identification", CVPR 2018).
///
/// `list_{train,val,query,gallery}.txt` hold lines of `path identity`, relative to the folder of training or test
/// images, which version 2 renamed. The camera is the third field of the file name between underscores. Identity 0
/// is a person like any other, and identities of training and test images are counted apart.
enum MSMT17 {
  static let marker = "list_train.txt"
  static let places = [
    "", "MSMT17_V1", "MSMT17_V2", "msmt17", "msmt17/MSMT17_V1", "msmt17/MSMT17_V2", "MSMT17",
  ]
  private static let folders = [("train", "test"), ("mask_train_v2", "mask_test_v2")]

  /// `includeValidation` adds the validation list to the training images, as some published results do.
  static func open(at root: String, includeValidation: Bool) throws -> ReIDDataset {
    guard let (train, test) = folders.first(where: { InputFile.isFolder(joinPath(root, $0.0)) }) else {
      throw Failure.data(root, "list_train.txt is there, but neither the folder train nor mask_train_v2")
    }
    var training = try samples(list: joinPath(root, marker), folder: joinPath(root, train))
    if includeValidation {
      training += try samples(list: joinPath(root, "list_val.txt"), folder: joinPath(root, train))
    }
    return ReIDDataset(
      name: includeValidation ? "MSMT17, validation included in training" : "MSMT17", root: root, train: training,
      query: try samples(list: joinPath(root, "list_query.txt"), folder: joinPath(root, test)),
      gallery: try samples(list: joinPath(root, "list_gallery.txt"), folder: joinPath(root, test)),
      identitiesAreShared: false)
  }

  private static func samples(list: String, folder: String) throws -> [Sample] {
    var text = try InputFile.text(list)[...]
    if text.hasPrefix("\u{FEFF}") { text.removeFirst() }
    var samples: [Sample] = []
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let fields = line.split(whereSeparator: \.isWhitespace)
      if fields.isEmpty { continue }
      guard fields.count == 2, let identity = Int(fields[1]), identity >= 0 else {
        let shown = Printable.line(String(line), limit: 60)
        throw Failure.data("\(list):\(index + 1)", "expected \"path identity\", found \"\(shown)\"")
      }
      let name = fields[0].split(separator: "/").last ?? ""
      let parts = name.split(separator: "_", omittingEmptySubsequences: false)
      guard parts.count > 2, let camera = Int(parts[2]) else {
        let shown = Printable.line(String(name), limit: 60)
        throw Failure.data("\(list):\(index + 1)", "no camera in the third field of \"\(shown)\"")
      }
      samples.append(Sample(path: joinPath(folder, String(fields[0])), identity: identity, camera: camera))
    }
    guard let first = samples.first else { throw Failure.data(list, "no image in it") }
    guard FileManager.default.fileExists(atPath: first.path) else {
      throw Failure.data(list, "its first image \(first.path) does not exist")
    }
    return samples
  }
}
