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
      identities: [-1, 0, 7, .min, .max], cameras: [1, 2, .min, .max, 15])
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
    try FeatureFiles.write(features, groups: [4, 4, -1, 0, 9], to: path)
    #expect(try FeatureFiles.read(path, identity: "group").identities == [4, 4, -1, 0, 9])
    #expect(try FeatureFiles.read(path).identities == features.identities)
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
    ("", "empty; expected a header line"),
    ("a,1,2\nb,3,4\nc,5,6\n", "no column \"path\"; the header is \"a,1,2\""),
    ("path,identity\na,1\nb,3\nc,5\n", "no column \"camera\""),
    ("path,identity,camera\na,1,2\nb,3,4\n", "labels 2 rows"),
    ("path,identity,camera\na,1,2\nb,3,4\nc,5,6\nd,7,8\n", "labels 4 rows"),
    ("path,identity,camera\na,1,2\nb,three,4\nc,5,6\n", ":3: identity is \"three\", expected an integer"),
    ("path,identity,camera\n\"a\nb\",1,2\nb,3,\nc,5,6\n", ":4: camera is empty"),
    ("path,identity,camera\na,1,2\nb,3,4,5\nc,5,6\n", ":3: 4 fields, expected 3 as in the header"),
    ("path,identity,camera\na,1,2\nb,9223372036854775808,4\nc,5,6\n", ":3: identity is \"9223372036854775808\", which"),
    ("path,identity,camera\na,1,2\n\"b,3,4\nc,5,6\n", ":3: a quote that is never closed"),
    ("path,identity,camera\na,1,2\n\"b\"c,3,4\nc,5,6\n", ":3: text after a closing quote"),
  ])
  func damagedLabelsAreNamedWithTheirLine(labels: String, reason: String) throws {
    expectFailure(.data, naming: folder.file("Q.csv"), reason) { try read(labels) }
  }

  @Test(.timeLimit(.minutes(1))) func whatIsNoFileIsRefused() throws {
    let pipe = folder.file("pipe.npy")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero"] {
      expectFailure(.data, naming: path, "not a regular file") { try FeatureFiles.read(path) }
    }
    let path = folder.file("P.npy")
    try NPY.write(FeatureMatrix(rows: 1, columns: 1, values: [1]), to: path)
    #expect(mkfifo(folder.file("P.csv"), 0o600) == 0)
    expectFailure(.data, naming: folder.file("P.csv"), "not a regular file") { try FeatureFiles.read(path) }
  }

  @Test func featuresThatAreNoneAreNotWritten() throws {
    let path = folder.file("F.npy")
    let broken = try labelled([1, 2, 3, .nan], columns: 2, identities: [1, 2], cameras: [1, 1])
    expectFailure(.data, naming: path, "the feature of 1.jpg holds an infinity or a NaN") {
      try FeatureFiles.write(broken, to: path)
    }
    let none = try labelled([], columns: 2, identities: [], cameras: [])
    expectFailure(.data, naming: path, "there are no features") { try FeatureFiles.write(none, to: path) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  /// Where the labels cannot be written, no features stay beside those of others.
  @Test func featuresAndLabelsChangeTogether() throws {
    let path = folder.file("F.npy"), features = try labelled([1, 2], columns: 1, identities: [1, 2], cameras: [1, 1])
    try FeatureFiles.write(features, to: path)
    try FeatureFiles.write(try labelled([5, 6], columns: 1, identities: [3, 4], cameras: [1, 1]), to: path)
    #expect(try FeatureFiles.read(path).identities == [3, 4])
    try FileManager.default.removeItem(atPath: folder.file("F.csv"))
    try FileManager.default.createDirectory(atPath: folder.file("F.csv"), withIntermediateDirectories: true)
    expectFailure(.internal, naming: folder.file("F.csv"), "Is a directory") {
      try FeatureFiles.write(features, to: path)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["F.csv"])
  }

  @Test func otherFailuresNameTheFile() throws {
    let path = folder.file("N.npy")
    try NPY.write(FeatureMatrix(rows: 2, columns: 2, values: [1, 2, .infinity, 4]), to: path)
    expectFailure(.data, naming: path, "row 1 (counted from 0)") { try FeatureFiles.read(path) }
    try NPY.write(FeatureMatrix(rows: 1, columns: 1, values: [1]), to: path)
    expectFailure(.data, naming: folder.file("N.csv"), "No such file or directory (the labels of \(path)") {
      try FeatureFiles.read(path)
    }
    let features = try labelled([1], columns: 1, identities: [1], cameras: [1])
    expectFailure(.usage, naming: "features.bin", "*.npy") { try FeatureFiles.write(features, to: "features.bin") }
    expectFailure(.internal, naming: "x", "1 feature rows, but 0 paths") {
      try LabelledFeatures(
        name: "x", matrix: FeatureMatrix(rows: 1, columns: 1, values: [1]), paths: [], identities: [1], cameras: [1])
    }
  }
}
