import Dataset
import Foundation
import Tensors
import Testing

@Suite struct SynthesizerTests {
  private func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test func layoutFollowsTheRulesOfMarket1501() throws {
    try withFolder { folder in
      let data = try Synthesizer(identities: 5, images: 2, cameras: 3, seed: 9).write(to: folder + "/new/data")
      // Half of five, rounded down, for training.
      #expect(data.train.count == 2 * 3 * 2 && Set(data.train.map(\.identity)) == [1, 2])
      #expect(data.query.count == 3 * 3 && Set(data.query.map(\.identity)) == [3, 4, 5])
      for identity in 3...5 {
        #expect(data.query.filter { $0.identity == identity }.map(\.camera).sorted() == [1, 2, 3])
        #expect(data.gallery.filter { $0.identity == identity }.map(\.camera).sorted() == [1, 2, 3])
      }
      #expect(data.gallery.filter { $0.identity == 0 }.count == 2)
      let gallery = try names(folder + "/new/data/bounding_box_test")
      #expect(gallery.filter { $0.hasPrefix("-1_c") }.count == 2)
      #expect(gallery.count == data.gallery.count + 2)
      #expect(try names(folder + "/new/data/bounding_box_train").first == "0001_c1s1_000001_00.jpg")
      for sample in data.train + data.query + data.gallery {
        let image = try ImageCodec.decode(path: sample.path)
        #expect(image.width == 64 && image.height == 128)
        // A picture, not one colour.
        #expect(Set(image.pixels).count > 50)
      }
    }
  }

  @Test func theSeedDecidesEveryByte() throws {
    func bytes(_ synthesizer: Synthesizer) throws -> [String: Data] {
      try withFolder { folder in
        let data = try synthesizer.write(to: folder)
        let samples = data.train + data.query + data.gallery
        return try Dictionary(
          uniqueKeysWithValues: samples.map {
            ($0.path.dropFirst(folder.count).description, try Data(contentsOf: URL(fileURLWithPath: $0.path)))
          })
      }
    }
    let small = Synthesizer(identities: 4, images: 2, cameras: 2, seed: 9)
    let reference = try bytes(small)
    #expect(try bytes(small) == reference)
    #expect(Set(reference.values).count == reference.count)
    var other = small
    other.seed = 10
    let changed = try bytes(other)
    #expect(changed.keys.sorted() == reference.keys.sorted())
    #expect(reference.allSatisfy { changed[$0.key] != $0.value })
    // More identities leave the pictures of the first ones alone.
    other = small
    other.identities = 6
    let more = try bytes(other)
    let training = reference.filter { $0.key.contains("bounding_box_train") }
    #expect(training.count == 8 && training.allSatisfy { more[$0.key] == $0.value })
  }

  /// Two pictures of one person by one camera are alike, but not the same; other people differ more on average.
  @Test func picturesOfAPersonAreCloserThanThoseOfOthers() throws {
    try withFolder { folder in
      let data = try Synthesizer(identities: 12, images: 4, cameras: 2, seed: 2).write(to: folder)
      let samples = data.train.filter { $0.camera == 1 }
      let images = try samples.map {
        Resampling.resize(try ImageCodec.decode(path: $0.path), width: 8, height: 16).pixels.map(Double.init)
      }
      var same: [Double] = [], different: [Double] = []
      for i in samples.indices {
        for j in samples.indices where j > i {
          let distance = zip(images[i], images[j]).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
          #expect(distance > 0)
          if samples[i].identity == samples[j].identity { same.append(distance) } else { different.append(distance) }
        }
      }
      let mean = { (values: [Double]) in values.reduce(0, +) / Double(values.count) }
      #expect(mean(same) < 0.8 * mean(different))
    }
  }

  @Test func foldersInUseAndImpossibleCountsAreRefused() throws {
    try withFolder { folder in
      try touch(folder, "query/mine.txt")
      let used = failure { _ = try Synthesizer(identities: 4, images: 2, cameras: 2).write(to: folder) }
      #expect(used.kind == .data)
      #expect(
        used.message == "\(folder): has files in it already, such as query; a data set is written to a new folder only")
      #expect(try names(folder) == ["query"])
      let few = failure { _ = try Synthesizer(identities: 3).write(to: folder + "/x") }
      #expect(few.kind == .usage && few.message == "--identities is 3, expected 4 to 9999")
      let cameras = failure { _ = try Synthesizer(cameras: 1).write(to: folder + "/x") }
      #expect(cameras.message == "--cameras is 1, expected 2 to 99")
      let blocked = failure { _ = try Synthesizer().write(to: folder + "/query/mine.txt") }
      #expect(blocked.kind == .internal && blocked.message == "\(folder)/query/mine.txt: Not a directory")
    }
  }
}
