import Dataset
import Foundation
import Tensors
import TestSupport
import Testing

/// What is told by files of MATLAB: MARS, CUHK03.
@Suite struct MATLayoutTests {
  private func write(_ path: String, isHDF5: Bool = false, _ variables: [(String, MATWriter.Value)]) throws {
    let writer = try #require(MATWriter(path, isHDF5: isHDF5))
    for (name, value) in variables { #expect(writer.write(name, value)) }
  }

  /// Rows as MATLAB stores them, column by column.
  private func table(_ rows: [[Int32]]) -> MATWriter.Value {
    .int32((0..<rows[0].count).flatMap { column in rows.map { $0[column] } }, [rows.count, rows[0].count])
  }

  private func mars(_ root: String, query: [Int32] = [2], last: Int32 = 6) throws {
    try touch(root, "bbox_train/0007/x.jpg", "bbox_test/x.jpg")
    try put("0007C1T0001F001.jpg\n0007C1T0001F002.jpg\n0009C2T0001F001.jpg\n", root + "/info/train_name.txt")
    let names = [
      "00-1C1T0001F001", "0000C1T0001F001", "0008C1T0001F001", "0008C1T0001F002", "0008C2T0001F001", "0008C2T0001F002",
    ]
    try put(names.map { $0 + ".jpg" }.joined(separator: "\r\n"), root + "/info/test_name.txt")
    try write(root + "/info/tracks_train_info.mat", [("track_train_info", table([[1, 2, 7, 1], [3, 3, 9, 2]]))])
    try write(
      root + "/info/tracks_test_info.mat",
      [("track_test_info", table([[1, 1, -1, 1], [3, 4, 8, 1], [5, last, 8, 2], [2, 2, 0, 1]]))])
    try write(root + "/info/query_IDX.mat", [("query_IDX", .int32(query, [1, query.count]))])
  }

  @Test(arguments: ["", "/MARS"]) func marsIsReadByItsTracks(place: String) throws {
    try withFolder { folder in
      let root = folder + place
      try mars(root)
      let data = try ReIDDataset.open(at: folder)
      #expect(data.name == "MARS" && data.root == root)
      #expect(data.train.map(\.identity) == [7, 7, 9])
      #expect(data.train.first?.path == root + "/bbox_train/0007/0007C1T0001F001.jpg")
      #expect(data.query.map(\.path) == [1, 2].map { root + "/bbox_test/0008/0008C1T0001F00\($0).jpg" })
      #expect(Set(data.query.map(\.track)).count == 1)
      // Junk is nowhere; the distractor is in the gallery.
      #expect(data.gallery.map(\.identity) == [8, 8, 0])
      #expect(data.gallery.map(\.camera) == [2, 2, 1])
      let tracks = data.gallery.map(\.track)
      #expect(tracks[0] == tracks[1] && tracks[1] != tracks[2])
      #expect(data.units(.gallery).count == 2 && data.units(.gallery).name == "tracks")
      #expect(try data.check().isEmpty && data.warnings.isEmpty)
      try mars(root, query: [2, 1])
      let junk = try ReIDDataset.open(at: folder)
      #expect(junk.query == data.query)
      #expect(junk.warnings == ["1 of 2 tracks that are searched for are junk, such as track 1: they are left out"])
    }
  }

  @Test func marsFilesThatDoNotFitAreNamed() throws {
    try withFolder { folder in
      try mars(folder, query: [5])
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(folder)/info/query_IDX.mat, query_IDX: 5 is none of the 4 tracks of the test")
      try mars(folder, query: [2, 2])
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(folder)/info/query_IDX.mat, query_IDX: a track is listed twice")
      try mars(folder, last: 7)
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(folder)/info/tracks_test_info.mat, track_test_info: row 3: frames 5 to 7, but test_name.txt has 6 names"
      )
      func test(_ rows: [[Int32]]) throws -> String {
        try write(folder + "/info/tracks_test_info.mat", [("track_test_info", table(rows))])
        return failure { _ = try ReIDDataset.open(at: folder) }.message
      }
      #expect(
        try test([[3, 4, 8, 1], [5, 6, 9, 2]])
          == "\(folder)/info/tracks_test_info.mat, track_test_info: row 2: identity 9 and camera 2, but line 5 of "
          + "test_name.txt is \"0008C2T0001F001.jpg\", expected 0009C2T…")
      #expect(
        try test([[3, 4, 8, 1], [4, 4, 8, 1]])
          == "\(folder)/info/tracks_test_info.mat, track_test_info: row 2: frame 4 is one of row 1, too")
      try write(folder + "/info/tracks_test_info.mat", [("track_test_info", table([[1, 1, 3]]))])
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message.contains("[1, 3] elements, expected rows of first"))
      try put("0007C1T0001F001.jpg\n0007C1T0001F002.jpg\n0007C1T0001F001.jpg\n", folder + "/info/train_name.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(folder)/info/train_name.txt:3: 0007C1T0001F001.jpg is line 1, too")
    }
  }

  /// Two camera pairs of two persons, pictures 1, 2 and 6 of each.
  private func cuhk03(
    _ folder: String, names: [String], train: [Double] = [1, 2], query: [Double] = [3], labels: [Double]? = nil,
    cameras: [Double]? = nil
  ) throws {
    func picture(_ pair: Int, _ person: Int, _ number: Int) -> MATWriter.Value? {
      guard [1, 2, 6].contains(number) else { return nil }
      let (height, width) = (3, 2)
      let bytes = (0..<18).map { index -> UInt8 in
        let (y, x, color) = (index % height, index / height % width, index / (height * width))
        return UInt8(pair * 64 + person * 24 + number * 3 + (y * width + x) * 3 + color)
      }
      return .bytes(bytes, [height, width, 3])
    }
    let pairs = (1...2).map { pair in
      MATWriter.Value.cells((1...10).flatMap { number in (1...2).map { picture(pair, $0, number) } }, [2, 10])
    }
    try write(folder + "/cuhk-03.mat", isHDF5: true, [("detected", .cells(pairs, [2, 1]))])
    let identities = names.map { Double(Int($0.split(separator: "_")[1].prefix(3))!) + ($0.hasPrefix("2") ? 2 : 0) }
    let views = names.map { $0.contains("_06") ? 2.0 : 1.0 }
    try write(
      folder + "/config_detected.mat",
      [
        ("filelist", .cells(names.map { .text($0) }, [names.count, 1])),
        ("labels", .doubles(labels ?? identities, [names.count, 1])),
        ("camId", .doubles(cameras ?? views, [names.count, 1])),
        ("train_idx", .doubles(train, [train.count, 1])), ("query_idx", .doubles(query, [query.count, 1])),
        ("gallery_idx", .doubles([4], [1, 1])),
      ])
  }

  @Test func cuhk03IsUnpacked() throws {
    try withFolder { folder in
      try cuhk03(folder, names: ["1_001_1_01.png", "1_001_1_02.png", "2_002_1_02.png", "2_002_2_06.png"])
      func unpack() throws -> ReIDDataset {
        try CUHK03.unpack(
          pictures: folder + "/cuhk-03.mat", protocol: folder + "/config_detected.mat", to: folder + "/out")
      }
      let data = try unpack()
      #expect(data.train.map { $0.path.suffix(24) } == ["/0001_c1s1_000000_00.png", "/0001_c1s1_000001_00.png"])
      #expect(data.query.map { [$0.identity, $0.camera] } == [[4, 1]])
      #expect(data.gallery.map { [$0.identity, $0.camera] } == [[4, 2]])
      let image = try ImageCodec.decode(path: data.gallery[0].path)
      #expect(image.width == 2 && image.height == 3)
      // In rows from the top, whatever MATLAB's order.
      let first = 2 * 64 + 2 * 24 + 6 * 3, values = image.pixels.map { Int($0) - first }
      let expected = (0..<18).map { $0 }
      #expect(values == expected)
      #expect(
        failure { _ = try unpack() }.message.hasPrefix("\(folder)/out: has files in it already, such as bounding_box_t")
      )
    }
  }

  /// A protocol that contradicts itself, of which nothing is unpacked.
  @Test func cuhk03ProtocolsThatDoNotFitAreNamed() throws {
    let names = ["1_001_1_01.png", "1_001_1_02.png", "2_002_1_02.png", "2_002_2_06.png"]
    try withFolder { folder in
      func found() -> String {
        let message = failure {
          _ = try CUHK03.unpack(
            pictures: folder + "/cuhk-03.mat", protocol: folder + "/config_detected.mat", to: folder + "/out")
        }.message
        #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
        return String(message.dropFirst(folder.count + 1))
      }
      try cuhk03(folder, names: names, train: [1, 9])
      #expect(found() == "config_detected.mat, train_idx: 9 is none of the 4 pictures")
      try cuhk03(folder, names: names, train: [1, 1])
      #expect(found() == "config_detected.mat, train_idx: picture 1 is in train_idx already")
      try cuhk03(folder, names: names, query: [2])
      #expect(found() == "config_detected.mat, query_idx: picture 2 is in train_idx already")
      try cuhk03(folder, names: names, query: [])
      #expect(found() == "config_detected.mat, query_idx: no picture in it")
      try cuhk03(folder, names: names, labels: [1, 0, 2, 2])
      #expect(found() == "config_detected.mat, labels: picture 2 has identity 0")
      try cuhk03(folder, names: names, cameras: [1, 1, -1, 2])
      #expect(found() == "config_detected.mat, camId: picture 3 has camera -1")
      try cuhk03(folder, names: names, labels: [1, 2, 4, 4])
      #expect(
        found()
          == "config_detected.mat, labels: picture 2 has identity 2, by its name it shows the same person as one of 1")
      try cuhk03(folder, names: names, cameras: [1, 2, 1, 2])
      #expect(
        found()
          == "config_detected.mat, camId: picture 2 has camera 2, by its name it has the same view as one of camera 1")
      try cuhk03(folder, names: [names[0], names[1], names[0], names[3]])
      #expect(found() == "config_detected.mat, filelist: names 1 and 3 are the same")
      try cuhk03(folder, names: names)
      #expect(
        failure {
          _ = try CUHK03.unpack(
            pictures: folder + "/cuhk-03.mat", protocol: folder + "/cuhk-03.mat", to: folder + "/out")
        }.message
          == "\(folder)/cuhk-03.mat: the name does not tell whether it is for \"detected\" or \"labeled\" pictures")
    }
  }

  @Test(arguments: [
    ("1_001_1_07.png", "cuhk-03.mat, detected: no picture 7 of person 1 of camera pair 1"),
    ("3_001_1_01.png", "cuhk-03.mat, detected: no picture 1 of person 1 of camera pair 3"),
    ("1_001.png", "config_detected.mat, filelist: name 4 is \"1_001.png\", expected as 1_001_1_01.png"),
  ])
  func cuhk03FilesThatDoNotFitAreNamed(name: String, message: String) throws {
    try withFolder { folder in
      try cuhk03(folder, names: ["1_001_1_01.png", "1_001_1_02.png", "2_002_1_02.png", name])
      let found = failure {
        _ = try CUHK03.unpack(
          pictures: folder + "/cuhk-03.mat", protocol: folder + "/config_detected.mat", to: folder + "/out")
      }
      #expect(found.message == "\(folder)/\(message)")
    }
  }
}
