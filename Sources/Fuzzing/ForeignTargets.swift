import ForeignWeights
import Storage

/// Weights of other tools, by whichever reader the bytes call for: every tensor, and where it would go.
struct ForeignTarget: FuzzReader {
  /// Instructions of pickles, names that mean something, and parts of zip archives.
  static let pickleWords = [
    "\u{80}\u{2}", "ctorch._utils\n_rebuild_tensor_v2\n", "ccollections\nOrderedDict\n", "ctorch\nFloatStorage\n",
    "X\u{7}\0\0\0storage", "(", "t", "R", "Q", "}", "]", "a", "u", "s", "b", ".", "q\u{1}", "h\u{1}", "2", "0", "1",
    ")", "\u{85}",
    "\u{86}", "\u{87}", "K\u{2}", "J\u{ff}\u{ff}\u{ff}\u{ff}",
    "\u{8a}\u{a}\u{6c}\u{fc}\u{9c}\u{46}\u{f9}\u{20}\u{6a}\u{a8}\u{50}\u{19}",
    "\u{8b}\u{ff}\u{ff}\u{ff}\u{7f}", "\u{8e}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{7f}", "\u{94}", "\u{93}",
    "\u{81}", "PK\u{3}\u{4}",
    "PK\u{1}\u{2}", "PK\u{5}\u{6}", "archive/data.pkl", "archive/data/0", "../",
  ]
  /// Fields of models, graphs and tensors.
  static let onnxWords = [
    "\u{8}\u{8}", "\u{3a}", "\u{2a}", "\u{8}\u{2}", "\u{10}\u{1}", "\u{10}\u{a}", "\u{42}\u{1}w", "\u{4a}\u{4}\0\0\0\0",
    "\u{22}\u{4}\0\0\0\0", "\u{2a}\u{2}\u{1}\u{2}", "\u{6a}\0", "\u{70}\u{1}",
    "\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{ff}\u{1}",
  ]
  private let folder: FuzzFolder, name: String

  /// - Parameter name: of the file; its end can say what it is.
  init(_ folder: FuzzFolder, _ name: String) { (self.folder, self.name) = (folder, name) }

  func read(_ bytes: [UInt8]) throws {
    let file = try ForeignFile(path: try folder.file(name, bytes)), weights = WeightImport(file)
    try FuzzFinding.require(weights.fates.count == file.tensors.count, "\(weights.fates.count) fates")
    try FuzzFinding.require(weights.takenCount <= file.tensors.count, "\(weights.takenCount) tensors taken")
    for tensor in file.tensors.prefix(64) {
      let count = tensor.shape.reduce(1, *), single = try tensor.floats(), double = try tensor.doubles()
      try FuzzFinding.require(
        single.count == count && double.count == count, "\(tensor.name) of \(tensor.shape): \(single.count) values")
    }
  }
}
