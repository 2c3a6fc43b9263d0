import Evaluation
import Foundation
import Tensors
import Testing

@Suite struct FeatureFilesTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  /// Three rows of one element, and these labels.
  private func read(_ labels: String) throws -> LabelledFeatures {
    try NPY.write(FeatureMatrix(rows: 3, columns: 1, values: [1, 2, 3]), to: folder.file("Q.npy"))
    try folder.write(labels.utf8, "Q.csv")
    return try FeatureFiles.read(folder.file("Q.npy"))
  }

  @Test func roundTrip() throws {
    let paths = ["a.jpg", "of Jane, \"the\" runner.jpg", "two\nlines,\r\nmore.jpg", "", " Zoë 走.jpg "]
    let features = try LabelledFeatures(
      name: "x", matrix: FeatureMatrix(rows: 5, columns: 2, values: (0..<10).map { Float($0) }), paths: paths,
      identities: [-1, 0, 7, 1501, .max], cameras: [1, 2, 3, 4, 15])
    let path = folder.file("G.npy")
    try FeatureFiles.write(features, to: path)
    let read = try FeatureFiles.read(path)
    #expect(read.name == path)
    #expect(read.matrix == features.matrix)
    #expect(read.paths == paths)
    #expect(read.identities == features.identities)
    #expect(read.cameras == features.cameras)
    let lines = try String(contentsOfFile: folder.file("G.csv"), encoding: .utf8).split(separator: "\n")
    #expect(lines[0] == "path,identity,camera")
    #expect(lines[1] == "a.jpg,-1,1")
    #expect(lines[2] == "\"of Jane, \"\"the\"\" runner.jpg\",0,2")
  }

  @Test(arguments: [
    "path,identity,camera\na,1,2\nb,3,4\nc,5,6\n",
    "path,identity,camera\na,1,2\nb,3,4\nc,5,6",
    "\u{FEFF}path,identity,camera\r\na,1,2\r\n\r\nb,3,4\r\nc, 5 ,6\r\n",
    "split,camera,\"path\",identity\nquery,2,\"a\",1\nquery,4,b,\"3\"\n\"x,\n\"\"y\"\"\",6,c,5\n",
  ])
  func labelsAreReadAsTheyAreWritten(labels: String) throws {
    let features = try read(labels)
    #expect(features.paths == ["a", "b", "c"])
    #expect(features.identities == [1, 3, 5])
    #expect(features.cameras == [2, 4, 6])
  }

  @Test(arguments: [
    ("", "is empty"),
    ("a,1,2\nb,3,4\nc,5,6\n", "line 1: no column 'path'"),
    ("path,identity\na,1\nb,3\nc,5\n", "line 1: no column 'camera'"),
    ("path,identity,camera\na,1,2\nb,3,4\n", "labels 2 rows"),
    ("path,identity,camera\na,1,2\nb,3,4\nc,5,6\nd,7,8\n", "labels 4 rows"),
    ("path,identity,camera\na,1,2\nb,three,4\nc,5,6\n", "line 3: identity 'three' is not a number"),
    ("path,identity,camera\n\"a\nb\",1,2\nb,3,\nc,5,6\n", "line 4: camera '' is not a number"),
    ("path,identity,camera\na,1,2\nb,3,4,5\nc,5,6\n", "line 3: 4 fields where the header has 3"),
    ("path,identity,camera\na,1,2\nb,3000000000,4\nc,5,6\n", "line 3: identity '3000000000'"),
    ("path,identity,camera\na,1,2\n\"b,3,4\nc,5,6\n", "line 3: a quoted field does not end"),
    ("path,identity,camera\na,1,2\n\"b\"c,3,4\nc,5,6\n", "line 3: text follows the closing quote"),
  ])
  func damagedLabelsAreNamedWithTheirLine(labels: String, reason: String) throws {
    expectFailure(.data, naming: folder.file("Q.csv"), reason) { try read(labels) }
  }

  @Test func otherFailuresNameTheFile() throws {
    let path = folder.file("N.npy")
    try NPY.write(FeatureMatrix(rows: 2, columns: 2, values: [1, 2, .infinity, 4]), to: path)
    expectFailure(.data, naming: path, "row 1 (counted from 0)") { try FeatureFiles.read(path) }
    try NPY.write(FeatureMatrix(rows: 1, columns: 1, values: [1]), to: path)
    expectFailure(.data, naming: folder.file("N.csv"), "cannot be read") { try FeatureFiles.read(path) }
    let features = try labelled([1], columns: 1, identities: [1], cameras: [1])
    expectFailure(.usage, naming: "features.bin", "*.npy") { try FeatureFiles.write(features, to: "features.bin") }
    expectFailure(.internal, naming: "x", "1 feature rows, but 0 paths") {
      try LabelledFeatures(
        name: "x", matrix: FeatureMatrix(rows: 1, columns: 1, values: [1]), paths: [], identities: [1], cameras: [1])
    }
  }
}
