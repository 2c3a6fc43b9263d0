import Dataset
import Foundation
import Storage
import Synchronization
import Tensors
import Testing

@Suite struct DatasetSurveyTests {
  private func market(_ root: String, query: Int = 6) throws {
    try touch(root, "bounding_box_train/0001_c1s1_000001_00.jpg", "bounding_box_test/0002_c2s1_000001_00.jpg")
    for number in 1...query { try put("12", "\(root)/query/0002_c1s1_00000\(number)_00.jpg") }
  }

  private func survey(_ root: String) throws -> DatasetSurvey { try ReIDDataset.open(at: root).survey() }

  @Test func copiesAreAlikeWhereverTheyLie() throws {
    try withFolder { folder in
      try market(folder + "/a")
      try market(folder + "/b/Market-1501")
      let one = try survey(folder + "/a")
      #expect(try survey(folder + "/b") == one && survey(folder + "/a/") == one)
      #expect(one.parts.map(\.split) == [.train, .query, .gallery] && one.parts.map(\.count) == [1, 6, 1])

      // Another size, another name, one more: each in its split alone.
      func differing() throws -> [Bool] { zip(try survey(folder + "/b").parts, one.parts).map { $0 != $1 } }
      try put("123", folder + "/b/Market-1501/query/0002_c1s1_000003_00.jpg")
      #expect(try differing() == [false, true, false])
      try put("12", folder + "/b/Market-1501/query/0002_c1s1_000003_00.jpg")
      #expect(try differing() == [false, false, false])
      try put("21", folder + "/b/Market-1501/query/0002_c1s1_000003_00.jpg")
      #expect(try differing() == [false, true, false])
      let content = try ReIDDataset.open(at: folder + "/b").content(of: .query)
      #expect(content.count == 6 && content[2].hasPrefix("query/0002_c1s1_000003_00.jpg (SHA-256 "))
      try put("12", folder + "/b/Market-1501/query/0002_c1s1_000003_00.jpg")
      let gallery = folder + "/b/Market-1501/bounding_box_test"
      try FileManager.default.moveItem(
        atPath: gallery + "/0002_c2s1_000001_00.jpg", toPath: gallery + "/0002_c3s1_000001_00.jpg")
      #expect(try differing() == [false, false, true])
    }
  }

  /// More images than the threads take at once, in two folders in turn.
  @Test func sizesStandInTheOrderOfTheList() throws {
    try withFolder { folder in
      for i in 0..<8 { try put(String(repeating: "x", count: i), "\(folder)/\(i % 2)/\(i).jpg") }
      let paths = (0..<3000).map { "\(folder)/\($0 * 5 % 8 % 2)/\($0 * 5 % 8).jpg" } + ["\(folder)/0", "gone.jpg", ""]
      let calls = Mutex(0)
      #expect(
        Folder.sizes(of: paths) { calls.withLock { $0 += 1 } } == (0..<3000).map { $0 * 5 % 8 } + [nil, nil, nil])
      #expect(calls.withLock { $0 } == paths.count && Folder.sizes(of: []) {} == [])
    }
  }

  @Test func theSampleIsSpreadOverTheList() throws {
    try withFolder { folder in
      try put("1", folder + "/a.jpg")
      let samples = (0..<200).map { Sample(path: folder + "/a.jpg", identity: $0, camera: 0) }
      #expect(try ContentSample.lines(of: samples, below: folder + "/").count == ContentSample.size)
      #expect(try ContentSample.lines(of: Array(samples.prefix(3)), below: folder + "/").count == 3)
      #expect(try ContentSample.lines(of: [], below: folder).isEmpty)
      let gone = Sample(path: folder + "/gone.jpg", identity: 0, camera: 0)
      let error = failure { _ = try ContentSample.lines(of: samples + [gone, gone, gone, gone], below: folder) }
      #expect(error.kind == .data && error.message == folder + "/gone.jpg: No such file or directory")
    }
  }

  @Test func identitiesCamerasAndOrderCount() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg")
      var digests: Set<String> = []
      for rows in [
        "a.jpg,1,1|b.jpg,2,1", "b.jpg,2,1|a.jpg,1,1", "a.jpg,1,2|b.jpg,2,1", "a.jpg,2,1|b.jpg,1,1", "a.jpg,1,1",
      ] {
        let lines = rows.split(separator: "|").map { $0 + ",train\n" }.joined()
        try put("path,identity,camera,split\n" + lines, folder + "/own.csv")
        digests.insert(try survey(folder + "/own.csv").parts[0].digest)
      }
      #expect(digests.count == 5)
    }
  }

  @Test(.timeLimit(.minutes(1))) func missingImagesAreCounted() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg")
      #expect(mkfifo(folder + "/pipe.jpg", 0o600) == 0)
      let query = ["b", "x", "pipe", "y\u{1B}", "z", "v"].map { "\($0).jpg,1,1,query\n" }.joined()
      let rows = "a.jpg,1,1,train\n\(query)c.jpg,1,2,gallery\nw.jpg,1,2,gallery\n"
      try put("path,identity,camera,split\n" + rows, folder + "/own.csv")
      let error = failure { _ = try survey(folder + "/own.csv") }
      #expect(error.kind == .data)
      #expect(
        error.message == "\(folder)/own.csv: query: 5 of 6 images are missing, the first is \(folder)/x.jpg, then "
          + "\(folder)/pipe.jpg; gallery: 1 of 2 images is missing, the first is \(folder)/w.jpg")
    }
  }
}
