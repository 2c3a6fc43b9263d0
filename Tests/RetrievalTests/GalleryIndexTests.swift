import Dataset
import Evaluation
import Foundation
import Retrieval
import Storage
import TestSupport
import Testing

/// What stands in an index, and what becomes of it when the gallery changes.
@Suite struct GalleryIndexTests {
  private let folder: TemporaryFolder
  private let origin = FeatureOrigin(checkpoint: "run", manifest: "abc", settings: ["evaluation.flip": "false"])

  init() throws { folder = try TemporaryFolder() }

  private func sample(_ name: String, identity: Int = 1, camera: Int = 2) -> Sample {
    Sample(path: "\(folder.path)/\(name)", identity: identity, camera: camera)
  }

  private func feature(_ name: String) -> [Float] { [Float(name.utf8.first!), 3, -1] }

  /// Indexes these files as a command does; a feature tells the first letter of its name.
  private func index(
    _ samples: [Sample], damaged: Set<String> = [], faiss: Bool = false
  ) throws -> (pending: [String], update: IndexUpdate) {
    let path = try folder.file("index"), old = try GalleryIndex.isAt(path) ? GalleryIndex(path) : nil
    let update = try IndexUpdate(of: samples, old)
    let names = update.pending.map { String(update.samples[$0].path.split(separator: "/").last!) }
    let kept = names.filter { !damaged.contains($0) }
    let features = FeatureMatrix(rows: kept.count, columns: 3, values: kept.flatMap(feature))
    try update.write(
      to: path, features, rows: names.map { kept.firstIndex(of: $0) }, metric: .cosine, origin: origin, faiss: faiss)
    return (names, update)
  }

  @Test func onlyWhatIsNewOrChangedIsEmbedded() throws {
    for name in ["a", "b", "c", "d"] { _ = try folder.file(name, "picture \(name)") }
    let first = try index([sample("a"), sample("b"), sample("c")], damaged: ["b"])
    #expect(first.pending == ["a", "b", "c"] && first.update.changed == 0 && !first.update.isNothing)
    var opened = try GalleryIndex(try folder.file("index"))
    #expect(opened.samples == [sample("a"), sample("c")] && opened.description.origin == origin)
    // The damaged one is tried again, in another order of the rows.
    let second = try index([sample("c", identity: 9), sample("b"), sample("a")])
    #expect(second.pending == ["b"])
    opened = try GalleryIndex(try folder.file("index"))
    #expect(opened.samples == [sample("c", identity: 9), sample("b"), sample("a")])
    let matrix = try NPY.read(try folder.file("index/features.npy"))
    #expect(matrix == FeatureMatrix(rows: 3, columns: 3, values: ["c", "b", "a"].flatMap(feature)).unitRows)
    #expect(try IndexUpdate(of: [sample("c", identity: 9), sample("b"), sample("a")], opened).isNothing)
    // Another size, or the same size at another time.
    _ = try folder.file("a", "another picture")
    let date = Date(timeIntervalSince1970: 1e9)
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: try folder.file("c"))
    let third = try index([sample("a"), sample("c"), sample("d")])
    #expect(third.pending == ["a", "c", "d"] && third.update.changed == 2 && third.update.gone == 1)
    // What was written aside is gone.
    #expect(folder.names == ["a", "b", "c", "d", "index"])
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: try folder.file("index")).sorted()
        == ["features.csv", "features.npy", "index.json"])
  }

  @Test func aMissingImageIsAnError() throws {
    _ = try folder.file("a", "picture")
    let said = message(.data) { _ = try IndexUpdate(of: [sample("a"), sample("none")], nil) }
    #expect(said?.contains("none: no such image file") == true)
  }

  /// As `faiss/impl/index_write.cpp` has it.
  @Test(arguments: [DistanceMetric.cosine, .euclidean]) func faissFilesHaveTheirLayout(_ metric: DistanceMetric) throws
  {
    _ = try folder.file("a", "picture")
    let update = try IndexUpdate(of: [sample("a")], nil), path = try folder.file("index")
    let features = FeatureMatrix(rows: 1, columns: 2, values: [3, 4])
    try update.write(to: path, features, rows: [0], metric: metric, origin: origin, faiss: true)
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(path)/index.faiss")))
    let unit: [Float] = metric == .cosine ? [0.6, 0.8] : [3, 4]
    var expected = Array((metric == .cosine ? "IxFI" : "IxF2").utf8) + [2, 0, 0, 0] + [1, 0, 0, 0, 0, 0, 0, 0]
    for _ in 0..<2 { expected += [0, 0, 16, 0, 0, 0, 0, 0] }
    expected += [1] + [metric == .cosine ? 0 : 1, 0, 0, 0] + [2, 0, 0, 0, 0, 0, 0, 0]
    expected += unit.withUnsafeBytes { Array($0) }
    #expect(bytes == expected)
    #expect(try GalleryIndex(path).hasFAISS)
  }

  @Test func othersFeaturesAreRefused() throws {
    let other = FeatureOrigin(checkpoint: "else", manifest: "abd", settings: origin.settings)
    #expect(message(.usage) { try origin.require(other, of: "I") }?.contains("I: its features are of run (") == true)
    let set = FeatureOrigin(checkpoint: "run", manifest: "abc", settings: ["evaluation.flip": "true"])
    let said = message(.usage) { try origin.require(set, of: "I") }
    #expect(
      said == "I: its features are of evaluation.flip=false, not true; --set evaluation.flip=false asks for the same")
    try origin.require(FeatureOrigin(checkpoint: "moved", manifest: "abc", settings: origin.settings), of: "I")
  }

  @Test func whatDoesNotFitIsRefused() throws {
    _ = try folder.file("a", "picture")
    let path = try folder.file("index")
    func damage(_ name: String, _ change: (String) -> String) throws -> String? {
      _ = try index([sample("a")])
      let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")), as: UTF8.self)
      try change(text).write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
      defer { try? FileManager.default.removeItem(atPath: path) }
      return message(.data) { _ = try GalleryIndex(path) }
    }
    for (name, reason, change) in [
      ("index.json", "not the description", { _ in "{}" }),
      ("index.json", "format version 7", { $0.replacing("\"version\" : 1", with: "\"version\" : 7") }),
      ("index.json", "metric", { $0.replacing("\"cosine\"", with: "\"taxi\"") }),
      ("index.json", "1 × 3, but", { $0.replacing("\"rows\" : 1", with: "\"rows\" : -1") }),
      ("features.csv", "labels 2 rows", { $0 + "b,1,1,1,1\n" }),
      ("features.csv", "no column", { $0.replacing("modified", with: "when") }),
      ("features.csv", "bytes", { $0.replacing(",7,", with: ",seven,") }),
      ("features.npy", "not an NPY file", { _ in "text" }),
    ] as [(String, String, (String) -> String)] {
      let said = try damage(name, change)
      #expect(
        said?.contains("\(path)/") == true && said?.contains(reason) == true, "\(name): \(said ?? "accepted")")
    }
  }

  /// Names stay with an index, and other names make it another.
  @Test func namesAreKept() throws {
    _ = try folder.file("a", "picture")
    let names = LabelNames(identities: [1: "ann"], cameras: [2: "door, 2nd"]), path = try folder.file("index")
    let features = FeatureMatrix(rows: 1, columns: 3, values: feature("a"))
    try IndexUpdate(of: [sample("a")], named: names, nil)
      .write(to: path, features, rows: [0], metric: .cosine, origin: origin, faiss: false)
    let opened = try GalleryIndex(path)
    #expect(opened.names == names && opened.samples == [sample("a")])
    #expect(try IndexUpdate(of: [sample("a")], named: names, opened).isNothing)
    #expect(try !IndexUpdate(of: [sample("a")], opened).isNothing)
    let gallery = try Gallery(opened) { count, body in for index in 0..<count { body(index) } }
    #expect(gallery.names == names && gallery.names.camera(2) == "door, 2nd" && gallery.names.camera(5) == "5")
    // What a filter is asked for by is the whole name, however little of it is shown.
    let long = LabelNames(cameras: [1: String(repeating: "door ", count: 30) + "1"])
    #expect(long.camera(1) == long.cameras[1] && long.shownCamera(1).count < 70)
  }

  @Test func namedCamerasAreChosenByName() throws {
    let names = [1: "10", 2: "door"]
    #expect(try CameraFilter.cameras("door, 10", among: [1, 2], named: names, of: "--camera") == [1, 2])
    #expect(try CameraFilter.cameras("2", among: [1, 2], named: names, of: "--camera") == [2])
    let said = message(.usage) { _ = try CameraFilter.cameras("yard", among: [1, 2], named: names, of: "--camera") }
    #expect(said == "--camera: no camera is called \"yard\"; there are 10, door")
  }

  @Test func camerasAreReadAsPeopleWriteThem() throws {
    #expect(try CameraFilter.cameras("c1,3, C2", among: [1, 2, 3], of: "--camera") == [1, 2, 3])
    #expect(try CameraFilter.cameras("-1", among: [-1], of: "--camera") == [-1])
    for (text, reason) in [
      ("", "is no camera"), ("1,", "is no camera"), ("door", "is no camera"),
      ("4", "no image is of camera 4; there are 1, 2"),
    ] {
      let said = message(.usage) { _ = try CameraFilter.cameras(text, among: [1, 2], of: "--camera") }
      #expect(said?.contains(reason) == true && said?.hasPrefix("--camera: ") == true, "\(text): \(said ?? "accepted")")
    }
  }
}
