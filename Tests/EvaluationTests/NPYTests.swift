import Evaluation
import Foundation
import Tensors
import Testing

/// The bytes of an NPY file.
func npy(version: UInt8 = 1, _ header: String, _ data: [UInt8]) -> [UInt8] {
  let count = header.utf8.count
  let length = (0..<(version == 1 ? 2 : 4)).map { UInt8(count >> (8 * $0) & 0xFF) }
  return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + Array(header.utf8) + data
}

@Suite struct NPYTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  @Test func readsWhatNumPyWrites() throws {
    // np.array([[1.5, -2, 3]], '<f4') and np.array([[1.5], [0.1]], '<f8'), versions 1.0 and 2.0.
    let float32: [UInt8] = [0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0x40, 0x40]
    let float64: [UInt8] = [0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0x9A, 0x99, 0x99, 0x99, 0x99, 0x99, 0xB9, 0x3F]
    for version: UInt8 in [1, 2, 3] {
      let first = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }          \n"
      let path = try folder.write(npy(version: version, first, float32), "a.npy")
      #expect(try NPY.read(path) == FeatureMatrix(rows: 1, columns: 3, values: [1.5, -2, 3]))
      let second = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }\n"
      try folder.write(npy(version: version, second, float64), "a.npy")
      #expect(try NPY.read(path) == FeatureMatrix(rows: 2, columns: 1, values: [1.5, 0.1]))
    }
    // Other writers order and quote the entries as they like.
    let other = try folder.write(npy("{\"shape\":(1,3),\"fortran_order\":False,\"descr\":\"<f4\"}\n", float32), "b.npy")
    #expect(try NPY.read(other).values == [1.5, -2, 3])
  }

  @Test func writesTheBytesNumPyWrites() throws {
    let path = folder.file("w.npy")
    try NPY.write(FeatureMatrix(rows: 1, columns: 3, values: [1.5, -2, 3]), to: path)
    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }"
    let header = text + String(repeating: " ", count: 117 - text.utf8.count) + "\n"
    #expect(file == npy(header, [0, 0, 0xC0, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0x40, 0x40]))
    #expect((file.count - 12) % 64 == 0)
  }

  @Test(arguments: [(0, 4), (1, 1), (3, 5), (1234, 567)])
  func roundTrip(rows: Int, columns: Int) throws {
    let values = (0..<rows * columns).map { Float($0) * 0.1 - 3 }
    let matrix = FeatureMatrix(rows: rows, columns: columns, values: values)
    try NPY.write(matrix, to: folder.file("r.npy"))
    #expect(try NPY.read(folder.file("r.npy")) == matrix)
  }

  private static let unreadable: [(bytes: [UInt8], reason: String)] = [
    ([], "not an NPY file"),
    (Array("PK\u{3}\u{4} an npz file".utf8), "not an NPY file"),
    (npy(version: 4, "", []), "version 4.0"),
    ([0x93] + Array("NUMPY".utf8) + [2, 0, 9, 0], "ends within its header"),
    ([0x93] + Array("NUMPY".utf8) + [1, 0, 99, 0, 32], "ends within its header"),
    (npy("{'descr': '<f2', 'fortran_order': False, 'shape': (1, 1), }\n", [0, 0]), "'<f2'"),
    (npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1), }\n", [0, 0, 0, 0]), "'>f4'"),
    (npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", [0, 0, 0, 0]), "records"),
    (npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }\n", [0, 0, 0, 0]), "Fortran order"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", [0, 0, 0, 0]), "its shape is (1)"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", [0, 0, 0, 0]), "its shape is ()"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n", [0, 0, 0, 0]), "2 × 1 '<f4' elements"),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }\n", [0, 0, 0, 0, 0]), "5 bytes"),
    (
      npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n", []),
      "do not fit its 0 bytes"
    ),
    (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 1), }\n", []), "header is damaged"),
    (npy("{'descr': '<f4', 'shape': (1, 1), }\n", [0, 0, 0, 0]), "header is damaged"),
    (npy("no dictionary\n", [0, 0, 0, 0]), "header is damaged"),
  ]

  @Test(arguments: unreadable)
  func otherFilesAreRefused(bytes: [UInt8], reason: String) throws {
    let path = try folder.write(bytes, "bad.npy")
    expectFailure(.data, naming: path, reason) { try NPY.read(path) }
  }

  @Test func missingFilesAreNamed() {
    let path = folder.file("missing.npy")
    expectFailure(.data, naming: path, "No such file or directory") { try NPY.read(path) }
    let nowhere = folder.file("nowhere/x.npy")
    expectFailure(.internal, naming: nowhere, "No such file or directory") {
      try NPY.write(FeatureMatrix(rows: 1, columns: 1, values: [0]), to: nowhere)
    }
  }
}
