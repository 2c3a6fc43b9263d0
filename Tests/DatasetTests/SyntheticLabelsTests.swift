import Dataset
import Foundation
import Testing

@Suite struct SyntheticLabelsTests {
  private func synthesizer(_ change: (inout Synthesizer) -> Void = { _ in }) -> Synthesizer {
    var synthesizer = Synthesizer(identities: 16, images: 2, cameras: 2, seed: 9)
    (synthesizer.width, synthesizer.height) = (32, 64)
    change(&synthesizer)
    return synthesizer
  }

  /// Every image below a folder, by its path there.
  private func images(_ folder: String) throws -> [String: Data] {
    let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".jpg") }
    return try Dictionary(
      uniqueKeysWithValues: files.map { ($0, try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0))) })
  }

  @Test func labelsAreAFileBesideTheSamePictures() throws {
    try withFolder { folder in
      let plain = try synthesizer().write(to: folder + "/plain")
      #expect(!FileManager.default.fileExists(atPath: folder + "/plain/labels.csv"))
      let labelled = try synthesizer { $0.labels = true }.write(to: folder + "/labelled")
      let reference = try images(folder + "/plain")
      #expect(try images(folder + "/labelled") == reference && !reference.isEmpty)
      #expect(labelled.train.count == plain.train.count)
      // The file is the same data set: the junk that the layout drops is dropped of it too.
      let own = try ReIDDataset.open(at: folder + "/labelled/labels.csv")
      #expect(own.name == "own data" && own.warnings.isEmpty)
      for split in ReIDDataset.Split.allCases {
        func known(_ samples: [Sample]) -> Set<[String]> {
          Set(samples.map { [$0.path, "\($0.identity)", "\($0.camera)"] })
        }
        #expect(known(own[split]) == known(labelled[split]))
      }
      #expect(try rows(folder + "/labelled").count == reference.count)
    }
  }

  private struct Row {
    let identity: Int, split: String, orientation: String, attributes: String, group: String, occluded: String,
      part: String
    let face: String
  }

  private func rows(_ folder: String) throws -> [Row] {
    let lines = try String(contentsOfFile: folder + "/labels.csv", encoding: .utf8).split(separator: "\n")
    #expect(lines[0] == "path,identity,camera,split,orientation,attributes,group,occluded,part,face")
    return lines.dropFirst().map { line in
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      return Row(
        identity: Int(fields[1])!, split: fields[3], orientation: fields[4], attributes: fields[5], group: fields[6],
        occluded: fields[7], part: fields[8], face: fields[9])
    }
  }

  /// Of queries alone, as many as are asked for.
  @Test func whatIsHiddenOrCutOffIsSaid() throws {
    try withFolder { folder in
      let labelled = synthesizer {
        ($0.labels, $0.occlusion, $0.partial) = (true, 0.5, 0.5)
      }
      _ = try labelled.write(to: folder)
      let rows = try rows(folder), queries = rows.filter { $0.split == "query" }
      #expect(Set(queries.map(\.occluded)) == ["0", "1"] && Set(queries.map(\.part)).count > 3)
      let others = rows.filter { $0.split != "query" }
      #expect(others.allSatisfy { $0.occluded == "0" && $0.part == "whole" })
    }
  }

  @Test func attributesAndGroupsAreThePersons() throws {
    try withFolder { folder in
      _ = try synthesizer { $0.labels = true }.write(to: folder)
      let rows = try rows(folder), people = rows.filter { $0.identity > 0 }
      #expect(Set(rows.map(\.orientation)) == ["front", "back", "left", "right"])
      let bits = Dictionary(grouping: people, by: \.identity).mapValues { Set($0.map(\.attributes)) }
      #expect(bits.count == 16 && bits.values.allSatisfy { $0.count == 1 })
      #expect(Set(bits.values).count > 12)
      for person in people {
        #expect(person.attributes.count == 9 && person.attributes.allSatisfy { "01".contains($0) })
        // Trousers or a skirt, one bag, one kind of hair.
        for pair in [[2, 3], [4, 5], [6, 7], [6, 8], [7, 8]] {
          #expect(pair.count { Array(person.attributes)[$0] == "1" } < 2)
        }
      }
      let groups = Dictionary(grouping: people.filter { !$0.group.isEmpty }, by: \.group)
      #expect(groups.count > 3)
      for members in groups.values {
        #expect((2...4).contains(Set(members.map(\.identity)).count))
        #expect(Set(members.map { $0.split == "train" }).count == 1)
      }
      // A person is in one group at most; distractors walk alone.
      #expect(Dictionary(grouping: people, by: \.identity).values.allSatisfy { Set($0.map(\.group)).count == 1 })
      #expect(rows.filter { $0.identity == 0 }.allSatisfy { $0.group.isEmpty })
    }
  }

  /// In a picture of 64 rows a person is 51 to 67 high, and a head 0.132 of it.
  @Test func facesAreWhereHeadsAre() throws {
    try withFolder { folder in
      _ = try synthesizer { $0.labels = true }.write(to: folder)
      for row in try rows(folder) where row.identity >= 0 {
        if row.orientation == "back" {
          #expect(row.face.isEmpty)
          continue
        }
        let face = row.face.split(separator: " ").map { Int($0)! }
        try #require(face.count == 4)
        let (x, y, width, height) = (face[0], face[1], face[2], face[3])
        #expect(x >= 0 && y >= 0 && x + width <= 32 && y + height <= 64)
        #expect(y < 15 && (5...9).contains(width) && (6...11).contains(height))
        #expect(abs(Double(x) + Double(width) / 2 - 16) < 6)
      }
    }
  }

  @Test func occlusionAndPartsChangeQueriesAlone() throws {
    try withFolder { folder in
      _ = try synthesizer().write(to: folder + "/plain")
      let reference = try images(folder + "/plain")
      func changed(_ name: String, _ change: (inout Synthesizer) -> Void) throws -> [String: Data] {
        _ = try synthesizer(change).write(to: folder + "/" + name)
        let images = try images(folder + "/" + name)
        #expect(images.keys.sorted() == reference.keys.sorted())
        return images.filter { reference[$0.key] != $0.value }
      }
      let occluded = try changed("occluded") { $0.occlusion = 1 },
        queries = reference.keys.filter { $0.hasPrefix("query/") }
      #expect(Set(occluded.keys) == Set(queries) && queries.count == 16)
      let some = try changed("some") { $0.occlusion = 0.5 }
      #expect((3...13).contains(some.count) && some.allSatisfy { occluded[$0.key] == $0.value })
      let cut = try changed("cut") { ($0.partial, $0.labels) = (1, true) }
      #expect(Set(cut.keys) == Set(queries))
      let heights = try queries.map { try ImageCodec.decode(path: folder + "/cut/" + $0).height }
      #expect(Set(heights) == [48, 32, 21])
      // Of the lower parts no face is left; what is left lies within the picture.
      let faces = try rows(folder + "/cut").filter { $0.split == "query" && $0.orientation != "back" }.map(\.face)
      #expect(faces.contains("") && faces.contains { !$0.isEmpty })
      let wrong = failure { _ = try synthesizer { $0.partial = .nan }.write(to: folder + "/x") }
      #expect(wrong.kind == .usage && wrong.message == "--partial is nan, expected 0 to 1")
    }
  }

  @Test func partsAreSharesOfTheHeight() {
    func rows(_ part: BodyPart) -> [Int] { [part.rows(of: 128).lowerBound, part.rows(of: 128).upperBound] }
    #expect(
      BodyPart.allCases.map(rows) == [[0, 128], [0, 96], [0, 64], [0, 42], [32, 128], [64, 128], [86, 128]])
    for part in BodyPart.allCases { #expect(part.rows(of: 1) == 0..<1) }
    let image = formulaImage(width: 5, height: 12)
    #expect(BodyPart.lowerThird.cropped(image).pixels == Array(image.pixels.suffix(4 * 15)))
    #expect(BodyPart.upperHalf.cropped(image).pixels == Array(image.pixels.prefix(6 * 15)))
    #expect(BodyPart.whole.cropped(image) == image)
  }
}
