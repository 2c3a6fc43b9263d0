import Evaluation
import Foundation
import Testing
import Training

extension CommandTests {
  /// `evaluate`, `extract`, `score` and `describe` on one trained checkpoint.
  @Suite(.serialized) struct EvaluationTests {
    private let scratch: Scratch, data: String, run: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset(identities: 20, images: 3)
      run = scratch("run")
      try Command.succeed(
        ["train", "--data", data, "--output", run] + Tiny.training
          + Tiny.settings("schedule.epochs=3", "optimizer.learningRate=0.001"))
    }

    private struct Metrics: Codable, Equatable {
      let mAP: Double, mAPTrapezoid: Double, mINP: Double, rank1: Double, rank5: Double, rank10: Double, cmc: [Double]
      let queries: Int, leftOut: Int
      struct ReRanked: Codable, Equatable { let mAP: Double, rank1: Double }
      let reRanked: ReRanked?, plain: ReRanked?
    }

    private func metrics(_ name: String) throws -> Metrics {
      try JSONDecoder().decode(Metrics.self, from: Data(try scratch.text(name).utf8))
    }

    private func object(_ name: String) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(try scratch.text(name).utf8)) as? [String: Any])
    }

    private func evaluate(_ name: String, ranks: Int? = nil, _ settings: String...) throws -> Metrics {
      try Command.succeed(
        ["evaluate", "--checkpoint", run, "--data", data, "--json", scratch(name)]
          + settings.flatMap { ["--set", $0] },
        ranks: ranks)
      return try metrics(name)
    }

    private func extract(
      _ folder: String, to name: String, ranks: Int? = nil, _ settings: String...
    ) throws -> LabelledFeatures {
      try Command.succeed(
        ["extract", "--checkpoint", run, "--images", "\(data)/\(folder)", "--output", scratch("\(name).npy")]
          + settings.flatMap { ["--set", $0] }, ranks: ranks)
      return try FeatureFiles.read(scratch("\(name).npy"))
    }

    @Test func ranksGiveTheSameFileAndTrainingsOwnFigures() throws {
      let one = try evaluate("one.json", "evaluation.rerank=true")
      for ranks in [1, 3] {
        _ = try evaluate("\(ranks).json", ranks: ranks, "evaluation.rerank=true")
        // Only the order of a sum over the queries is another.
        let many = try metrics("\(ranks).json")
        #expect(many.cmc == one.cmc && many.queries == one.queries && many.reRanked?.rank1 == one.reRanked?.rank1)
        for value in [\Metrics.mAP, \.mAPTrapezoid, \.mINP, \.rank1] {
          #expect(abs(many[keyPath: value] - one[keyPath: value]) <= 1e-12, "\(ranks) ranks")
        }
        #expect(abs(many.reRanked!.mAP - one.reRanked!.mAP) <= 1e-12, "\(ranks) ranks")
      }
      #expect(one.queries == 20 && one.leftOut == 0 && one.mAP > 0 && one.mAP < 1 && one.reRanked != nil)
      #expect(one.rank1 == one.cmc[0] && one.rank5 == one.cmc[4] && one.rank10 == one.cmc[9])
      let last = try #require(RunFiles(path: run).metrics().last)
      #expect(last["mAP"] == one.mAP && last["rank1"] == one.rank1 && last["rank10"] == one.rank10)
      // The checkpoint by its own folder, and by that of the checkpoints.
      for path in ["\(run)/checkpoints", RunFiles(path: run).checkpoint(30)] {
        try Command.succeed(["evaluate", "--checkpoint", path, "--data", data, "--json", scratch("other.json")])
        #expect(try metrics("other.json").mAP == one.mAP)
      }
    }

    @Test func extractedFeaturesScoreAsTheEvaluation() throws {
      let evaluated = try evaluate("evaluated.json", "evaluation.rerank=true")
      let query = try extract("query", to: "q"), gallery = try extract("bounding_box_test", to: "g", ranks: 2)
      #expect(query.matrix.rows == 20 && query.matrix.columns == 32 && gallery.matrix.columns == 32)
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(data)/bounding_box_test").sorted()
      #expect(gallery.paths == names.map { "\(data)/bounding_box_test/\($0)" })
      #expect(gallery.identities == names.map { Int($0.prefix { $0 != "_" })! })
      #expect(gallery.cameras == names.map { Int($0.split(separator: "_")[1].dropFirst().prefix(1))! })
      let csv = try scratch.text("g.csv").split(separator: "\n")
      #expect(csv[0] == "path,identity,camera" && csv.count == names.count + 1)

      // The folder's junk, which the data set leaves out, ranks nowhere and is nobody's neighbour.
      #expect(gallery.identities.contains(-1))
      try Command.succeed(
        [
          "score", "--query", scratch("q.npy"), "--gallery", scratch("g.npy"), "--rerank", "--json",
          scratch("scored.json"),
        ])
      let scored = try metrics("scored.json")
      #expect(scored.plain?.mAP == evaluated.mAP && scored.plain?.rank1 == evaluated.rank1)
      #expect(scored.mAP == evaluated.reRanked?.mAP && scored.rank1 == evaluated.reRanked?.rank1)
      let cosine = try evaluate("cosine.json", "evaluation.metric=cosine")
      try Command.succeed(
        [
          "score", "--query", scratch("q.npy"), "--gallery", scratch("g.npy"), "--metric", "cosine", "--json",
          scratch("c.json"),
        ])
      #expect(try metrics("c.json").mAP == cosine.mAP && cosine.mAP != evaluated.mAP)
      // Everything at once, as keys and as flags.
      let features = ["--query", scratch("q.npy"), "--gallery", scratch("g.npy")]
      let flags = ["--expand", "--multi-query", "--single-shot", "--verification", "--camera-pairs"]
      try Command.succeed(["score"] + features + flags + ["--rerank", "--json", scratch("all.json")])
      _ = try evaluate(
        "keys.json", "evaluation.expansion=average", "evaluation.multiQuery=true", "evaluation.singleShot=true",
        "evaluation.verification=true", "evaluation.cameraPairs=true", "evaluation.rerank=true")
      let byFlags = try object("all.json"), byKeys = try object("keys.json")
      for name in ["euclidean", "cosine", "expanded", "multiQuery", "singleShot", "verification"] {
        #expect(byFlags[name] as? NSDictionary == byKeys[name] as? NSDictionary && byFlags[name] != nil, "\(name)")
      }
      #expect(byFlags["cameraPairs"] as? NSArray == byKeys["cameraPairs"] as? NSArray && byFlags["cameraPairs"] != nil)
      let refused = try Command.run(["score"] + features + ["--expand", "--expand-neighbours", "0"])
      #expect(refused.code == 64 && refused.errors == "lineup: expansion: 0 neighbours; expected 1 to 1000\n")
    }

    @Test func extractionIsTheSameOnTwoRanksAndInBatchesOfAnySize() throws {
      _ = try extract("query", to: "one")
      _ = try extract("query", to: "two", ranks: 2, "evaluation.batch=3")
      for kind in ["npy", "csv"] {
        let one = try Data(contentsOf: URL(fileURLWithPath: scratch("one.\(kind)")))
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch("two.\(kind)"))) == one)
      }
      let magic = try Data(contentsOf: URL(fileURLWithPath: scratch("one.npy"))).prefix(6)
      #expect(magic == Data([0x93] + Array("NUMPY".utf8)))
    }

    @Test func aListIsExtractedInItsOrder() throws {
      let list = try scratch.list(data, count: 6)
      let lines = try scratch.text("list.csv").split(separator: "\n")
      let turned = ([lines[0]] + lines[1...].reversed()).joined(separator: "\n")
      try turned.write(toFile: list, atomically: false, encoding: .utf8)
      try Command.succeed(["extract", "--checkpoint", run, "--images", list, "--output", scratch("l.npy")])
      #expect(try scratch.text("l.csv").split(separator: "\n").dropFirst() == lines[1...].reversed()[...])
      let reversed = try FeatureFiles.read(scratch("l.npy")).matrix, plain = try extract("bounding_box_train", to: "t")
      let last = try #require(plain.paths.firstIndex(of: String(lines[6].split(separator: ",")[0])))
      #expect(Array(reversed.values.prefix(32)) == Array(plain.matrix.values[last * 32..<(last + 1) * 32]))
    }

    /// The feature of an image averaged with its mirror image's is that of the mirror image averaged with its own.
    @Test func mirrorImagesAreAveraged() throws {
      let plain = try extract("query", to: "p"), flipped = try extract("query", to: "f", "evaluation.flip=true")
      #expect(plain.matrix.values != flipped.matrix.values && plain.paths == flipped.paths)
      #expect(try evaluate("flip.json", "evaluation.flip=true").mAP != evaluate("plain.json").mAP)
      let batches = try extract("query", to: "b", ranks: 3, "evaluation.flip=true", "evaluation.batch=2")
      #expect(batches.matrix.values == flipped.matrix.values)
    }

    @Test func describeAddsUpToThePapersFigures() throws {
      for (head, total, tensors) in [
        ("baseline", "24.56 M parameters, 2.67 G multiply-adds", 24.56),
        ("msfl", "27.08 M parameters, 5.91 G multiply-adds", 27.08),
      ] {
        let outcome = try Command.succeed(["describe"] + Tiny.settings("model.head=\(head)"))
        #expect(outcome.output.contains(total))
        let rows = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
        let end = try #require(rows.firstIndex { $0.starts(with: ["without", "the", "classifier"]) })
        let sum = rows[1..<(end - 1)].reduce(0) { $0 + (Int($1[$1.count - 2]) ?? 0) }
        #expect(sum == Int(rows[end][rows[end].count - 2]) && abs(Double(sum) / 1e6 - tensors) < 0.005)
        #expect(rows.contains { $0[0] == "classifier" })
      }
      let two = try Command.succeed(["describe", "--ranks", "2"]), one = try Command.succeed(["describe"])
      #expect(one.output.contains("memory to train on 32 images a rank, float16: "))
      #expect(two.output.contains("memory to train on 16 images a rank, float16: "))
    }
  }
}
