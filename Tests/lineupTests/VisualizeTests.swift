import Dataset
import Foundation
import FoundationXML
import Testing

extension UntimedCommandTests {
  /// `lineup visualize` as a user meets it; what the drawings are made of is PicturesTests' matter.
  @Suite(.serialized) struct VisualizeTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
      try train(seed: 1)
    }

    private func train(seed: Int) throws {
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("tiny-seed\(seed)")] + Tiny.training
          + Tiny.settings("schedule.epochs=2", "evaluation.everyEpochs=1", "seed=\(seed)"))
    }

    private var run: String { scratch("tiny-seed1") }

    private func visualize(_ what: String, _ file: String, ranks: Int? = nil, _ arguments: [String]) throws -> String {
      let places = what == "curves" ? [] : ["--checkpoint", run]
      let outcome = try Command.succeed(
        ["visualize", what] + places + ["--output", scratch(file)] + arguments, ranks: ranks)
      return outcome.output + outcome.errors
    }

    /// The texts of an SVG file, and how many pictures it has.
    private func drawing(_ file: String) throws -> (texts: [String], pictures: Int) {
      final class Reader: NSObject, XMLParserDelegate {
        var texts: [String] = [], pictures = 0, isText = false
        func parser(
          _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
          attributes: [String: String]
        ) {
          isText = name == "text"
          if isText { texts.append("") }
          if name == "image" { pictures += 1 }
        }
        func parser(
          _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
        ) { isText = false }
        func parser(_ parser: XMLParser, foundCharacters text: String) {
          if isText { texts[texts.count - 1] += text }
        }
      }
      let reader = Reader(), parser = XMLParser(data: try Data(contentsOf: URL(fileURLWithPath: scratch(file))))
      parser.delegate = reader
      #expect(parser.parse(), "\(file) is not well-formed")
      return (reader.texts, reader.pictures)
    }

    private struct Metrics: Decodable { let mAP: Double }

    @Test func rankingsAreThoseOfTheEvaluation() throws {
      let damaged = try ReIDDataset.open(at: data).gallery[0].path
      try scratch.damage(damaged)
      let evaluated = try Command.succeed([
        "evaluate", "--checkpoint", run, "--data", data, "--json", scratch("m.json"),
      ])
      #expect((evaluated.output + evaluated.errors).contains("left out"))
      let metrics = try JSONDecoder().decode(
        Metrics.self, from: Data(contentsOf: URL(fileURLWithPath: scratch("m.json"))))
      let said = try visualize("ranking", "all.svg", ["--data", data, "--queries", "200", "--top", "4", "--worst"])
      #expect(said.contains("left out: \(damaged)") && said.contains("all.svg: "))
      let (texts, pictures) = try drawing("all.svg")
      let precisions = texts.filter { $0.hasPrefix("AP ") }.compactMap { Double($0.split(separator: " ")[1]) }
      #expect(precisions.count > 4 && precisions == precisions.sorted() && pictures == 5 * precisions.count)
      // As they are rounded to be shown.
      #expect(abs(precisions.reduce(0, +) / Double(precisions.count) - 100 * metrics.mAP) < 0.06)
      #expect(texts.contains { $0.contains(String(format: "mAP %.1f %%", 100 * metrics.mAP)) })
      #expect(texts.count { $0.hasPrefix("rank 1 · ") } == precisions.count)
      // One of them, by the name of its file, by another distance; and the same on two ranks.
      let name = try #require(texts.first { $0.hasSuffix(".jpg") })
      for (file, ranks) in [("one.svg", nil), ("two.svg", 2)] as [(String, Int?)] {
        _ = try visualize(
          "ranking", file, ranks: ranks,
          ["--data", data, "--query", name, "--set", "evaluation.metric=cosine", "--set", "evaluation.flip=true"])
      }
      let one = try drawing("one.svg")
      #expect(
        one.pictures == 11 && one.texts.contains(name) && one.texts.contains { $0.contains("by cosine distance") })
      #expect(try scratch.text("one.svg") == scratch.text("two.svg"))
    }

    @Test func severalDataSetsAndOneWithoutCameras() throws {
      let other = try scratch.dataset("other", identities: 8)
      let images = try ReIDDataset.open(at: other)
      var list = "path,identity,split\n"
      for split in [ReIDDataset.Split.query, .gallery] {
        list += images[split].map { "\($0.path),\($0.identity),\(split.rawValue)\n" }.joined()
      }
      try list.write(toFile: scratch("bare.csv"), atomically: false, encoding: .utf8)
      _ = try visualize(
        "ranking", "sets.svg", ["--data", data, "--data", scratch("bare.csv"), "--queries", "2", "--seed", "3"])
      let texts = try drawing("sets.svg").texts
      #expect(texts.contains("data") && texts.contains("bare.csv") && texts.count { $0.hasPrefix("AP ") } == 4)
      // Only those of the first have cameras.
      #expect(texts.count { $0.hasPrefix("camera ") } == 22)
    }

    @Test func activationsAreOfEveryMap() throws {
      let images = try ReIDDataset.open(at: data).query.prefix(2).map(\.path)
      try Data("no image".utf8).write(to: URL(fileURLWithPath: scratch("bad.jpg")))
      let said = try visualize("activations", "maps.svg", ["--image"] + images + [scratch("bad.jpg")])
      #expect(said.contains("2 images, maps c1 c2 c3 c4 p1 p2 p3 p4 f1 f2 f3"))
      #expect(said.contains("left out: \(scratch("bad.jpg")): neither a JPEG nor a PNG"))
      let (texts, pictures) = try drawing("maps.svg")
      #expect(pictures == 2 * 12 + 1 && ["image", "c1", "p4", "f3"].allSatisfy(texts.contains))
      _ = try visualize("activations", "maps.png", ["--image", images[0], "--overlay"])
      let sheet = try ImageCodec.decode(path: scratch("maps.png"))
      #expect(sheet.width > sheet.height && Set(sheet.pixels).count > 100)
    }

    @Test func embeddingsAreInTheTableToo() throws {
      var tables: [String] = []
      for (method, file) in [("tsne", "a.svg"), ("tsne", "b.svg"), ("pca", "c.png")] {
        _ = try visualize(
          "embedding", file,
          ["--data", data, "--method", method, "--images", "24", "--csv", scratch("map.csv"), "--seed", "7"])
        tables.append(try scratch.text("map.csv"))
      }
      #expect(tables[0] == tables[1] && tables[0] != tables[2])
      #expect(try scratch.text("a.svg") == scratch.text("b.svg") && drawing("a.svg").pictures == 24)
      let samples = try ImageList.read(path: scratch("map.csv"))
      #expect(samples.count == 24 && Set(samples.map(\.identity)).count < 24)
      for line in tables[0].split(separator: "\n").dropFirst() {
        #expect(line.split(separator: ",").suffix(2).allSatisfy { Double($0)?.isFinite == true }, "\(line)")
      }
      #expect(try ImageCodec.decode(path: scratch("c.png")).width > 1000)
      #expect(try visualize("embedding", "d.svg", ["--data", data, "--on", "train"]).contains("d.svg: "))
    }

    @Test func seedsAreOneCurve() throws {
      try train(seed: 2)
      let runs = [run, scratch("tiny-seed2")]
      #expect(try visualize("curves", "c.svg", runs).contains("tiny: tiny-seed1, tiny-seed2"))
      let together = try drawing("c.svg").texts
      #expect(together.contains("tiny (2 seeds)"))
      #expect(["Loss", "Learning rate", "mAP", "Rank-1"].allSatisfy(together.contains))
      _ = try visualize("curves", "s.svg", runs + ["--separate", "--over", "epoch"])
      let apart = try drawing("s.svg").texts
      #expect(apart.contains("tiny-seed1") && apart.contains("tiny-seed2") && apart.contains("epoch"))
    }

    @Test func wrongInputIsNamed() throws {
      let image = try ReIDDataset.open(at: data).query[0].path
      let link = try linked(image), ranking = ["ranking", "--checkpoint", run, "--data", data],
        png = ["--output", scratch("x.png")]
      let maps = ["activations", "--checkpoint", run], embedding = ["embedding", "--checkpoint", run, "--data", data]
      for (words, code, arguments) in [
        (["x.jpg", "*.png or *.svg"], 64, ranking + ["--output", scratch("x.jpg")]),
        (["there is no folder"], 64, ranking + ["--output", scratch("none/x.png")]),
        (["--top"], 64, ranking + png + ["--top", "0"]), (["--queries"], 64, ranking + png + ["--queries", "0"]),
        (["--worst", "--seed"], 64, ranking + png + ["--worst", "--seed", "1"]),
        (["nobody.jpg", "no query"], 65, ranking + png + ["--query", "nobody.jpg"]),
        (["would replace"], 64, ranking + ["--output", link]),
        (["No such file"], 65, maps + png + ["--image", scratch("none.jpg")]),
        (["would replace"], 64, maps + ["--output", link, "--image", image]),
        (["is among the images of"], 64, ranking + ["--output", "\(data)/query/x.png"]),
        (["is among the images of"], 64, embedding + ["--output", "\(data)/bounding_box_test/x.png"]),
        (["--images"], 64, embedding + png + ["--images", "3"]),
        (["--perplexity"], 64, embedding + png + ["--perplexity", "nan"]),
        (["*.csv"], 64, embedding + png + ["--csv", scratch("x.txt")]),
        (["no such run"], 65, ["curves", scratch("none")] + png),
        (["no metrics.jsonl"], 65, ["curves", data] + png),
        (["is given twice"], 64, ["curves", run, run] + png),
        (["a run's own"], 64, ["curves", run, "--output", "\(run)/checkpoints/x.svg"]),
      ] as [([String], Int32, [String])] {
        let outcome = try Command.run(["visualize"] + arguments), complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(arguments.suffix(3)): \(outcome)")
        #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
        #expect(!FileManager.default.fileExists(atPath: scratch("x.png")))
      }
    }

    /// A link to an image under the name of a picture.
    private func linked(_ image: String) throws -> String {
      let path = scratch("link.png")
      try? FileManager.default.removeItem(atPath: path)
      try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: image)
      return path
    }
  }
}
