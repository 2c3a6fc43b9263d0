import Evaluation
import Storage

/// The header, and every tensor as both kinds of numbers.
struct SafetensorsTarget: FuzzReader {
  static let words = [
    "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"__metadata__\":", "\"F16\"", "\"BF16\"", "\"F32\"", "\"F64\"",
    "\"I64\"", "\"U8\"", "[]", "[0]", "[0,4]", "1152921504606846976", "9223372036854775807", "-1", "1e3", "null", "{}",
  ]
  private let folder: FuzzFolder
  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let file = try SafetensorsFile(path: try folder.file("model.safetensors", bytes))
    var total = 0
    for name in file.names {
      try FuzzFinding.require(file.contains(name), "\(name) is listed and not there")
      let shape = try file.shape(name), type = try file.dtype(name)
      let count = shape.reduce(1, *)
      let single = try file.values(name), double = try file.values(name, as: Double.self)
      try FuzzFinding.require(
        single.count == count && double.count == count, "\(name) of shape \(shape) has \(single.count) values")
      for (narrow, wide) in zip(single, double) {
        try FuzzFinding.require(narrow.isNaN == wide.isNaN, "\(name): \(narrow) and \(wide)")
        if !narrow.isNaN { try FuzzFinding.require(narrow == Float(wide), "\(name): \(narrow) and \(wide)") }
      }
      total += count * type.bytes
    }
    try FuzzFinding.require(total <= bytes.count, "\(total) bytes of tensors in \(bytes.count)")
  }
}

/// A feature matrix.
struct NPYTarget: FuzzReader {
  static let words = [
    "\u{93}NUMPY", "{'descr': '<f4', 'fortran_order': False, 'shape': (", "'descr':", "'fortran_order':", "'shape':",
    "'<f4'",
    "'<f8'", "'>f4'", "True", "False", "(2, 3)", "()", "(0, 0)", "(4611686018427387904, 4)", "9223372036854775807",
    "-1",
  ]
  private let folder: FuzzFolder
  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let matrix = try NPY.read(try folder.file("features.npy", bytes))
    try FuzzFinding.require(
      matrix.values.count == matrix.rows * matrix.columns && matrix.values.count * 4 <= bytes.count,
      "\(matrix.rows) × \(matrix.columns) with \(matrix.values.count) values in \(bytes.count) bytes")
  }
}

/// The labels beside two rows of features.
struct LabelsTarget: FuzzReader {
  private let folder: FuzzFolder, features: String

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    features = try folder.file("features.npy", FuzzBytes.npy(rows: 2, columns: 2))
  }

  func read(_ bytes: [UInt8]) throws {
    try folder.file("features.csv", bytes)
    let labelled = try FeatureFiles.read(features)
    try FuzzFinding.require(
      [labelled.paths.count, labelled.identities.count, labelled.cameras.count] == [2, 2, 2],
      "\(labelled.paths.count) labels for two rows")
  }
}
