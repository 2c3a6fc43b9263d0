import Evaluation
import Foundation
import Testing

extension UntimedCommandTests {
  /// `feedback`, `groups` and `score --masks` on features in files.
  @Suite(.serialized) struct FeatureToolTests {
    private let scratch: Scratch, features: [String]

    /// Twelve persons under three cameras, some junk, and a file without labels.
    init() throws {
      scratch = try Scratch()
      features = ["--query", scratch("q.npy"), "--gallery", scratch("g.npy")]
      for (name, rows, seed) in [("q", 20, 1), ("g", 130, 2), ("t", 9, 3)] {
        let values = (0..<rows * 8).map { Float(sin(Double(($0 * 31 + $0 % (7 + seed)) * seed)) + Double($0 % 8)) }
        let labels = (0..<rows).map { (identity: $0 * 5 % 13 - 1, camera: $0 % 3) }
        try FeatureFiles.write(
          LabelledFeatures(
            name: name, matrix: FeatureMatrix(rows: rows, columns: 8, values: values),
            paths: labels.indices.map { "\($0).jpg" }, identities: labels.map(\.identity), cameras: labels.map(\.camera)
          ),
          to: scratch("\(name).npy"))
      }
      try FileManager.default.removeItem(atPath: scratch("t.csv"))
    }

    private func json(_ name: String) throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(try scratch.text(name).utf8)) as? [String: Any])
    }

    private func expect(_ code: Int32, _ line: String, _ arguments: [String]) throws {
      let outcome = try Command.run(arguments)
      #expect(outcome.code == code && outcome.errors == "lineup: \(line)\n", "\(outcome.code) \(outcome.errors)")
    }

    @Test func feedbackBeginsAtTheScoreAndEndsAtAll() throws {
      for metric in ["cosine", "euclidean"] {
        try Command.succeed(["score", "--metric", metric, "--json", scratch("score.json")] + features)
        let score = try #require(try json("score.json")[metric] as? NSDictionary)
        let arguments =
          ["feedback", "--metric", metric, "--rounds", "2", "--json", scratch("feedback.json")] + features
        let outcome = try Command.succeed(arguments + ["--labels", "130"])
        for method in FeedbackMethod.allCases {
          let rounds = try #require(try json("feedback.json")[method.rawValue] as? [NSDictionary])
          #expect(rounds.count == 3 && rounds[0] == score)
          #expect(rounds[1...].allSatisfy { $0["mAP"] as? Double == 1 && $0["rank1"] as? Double == 1 })
          let lines = outcome.output.split(separator: "\n").filter { $0.hasPrefix("\(metric), \(method), round ") }
          #expect(lines.count == 3 && lines[2].contains("100.0   100.0"))
        }
        try Command.succeed(arguments + ["--labels", "0", "--method", "queryShift"])
        let unlabelled = try json("feedback.json")
        #expect(unlabelled.count == 1 && unlabelled["queryShift"] as? [NSDictionary] == [score, score, score])
      }
      // Two ranks say the same, once.
      let alone = try Command.succeed(["feedback"] + features),
        two = try Command.succeed(["feedback"] + features, ranks: 2)
      #expect(alone.output == two.output)
    }

    @Test func masksAddARow() throws {
      let score = ["score", "--json", scratch("score.json")] + features
      let plain = try Command.succeed(score), before = try json("score.json")
      #expect(before["masked"] == nil)
      var rows: [Double] = []
      for options in [["--mask-bits", "8"], ["--mask-training", scratch("t.npy")], ["--mask-neighbours", "3"]] {
        let outcome = try Command.succeed(score + ["--masks"] + options), after = try json("score.json")
        rows.append(try #require((after["masked"] as? NSDictionary)?["mAP"] as? Double))
        #expect(after["euclidean"] as? NSDictionary == before["euclidean"] as? NSDictionary)
        let lines = outcome.output.split(separator: "\n").filter { !$0.hasPrefix("euclidean, masked bits") }
        #expect(lines.count == plain.output.split(separator: "\n").count)
      }
      #expect(Set(rows).count == 3)
    }

    @Test func groupsAreReadByTheirColumn() throws {
      for name in ["q", "g"] {
        let text = try scratch.text("\(name).csv").replacing("identity", with: "group")
        try text.write(toFile: scratch("\(name).csv"), atomically: false, encoding: .utf8)
      }
      let outcome = try Command.succeed(["groups", "--json", scratch("groups.json")] + features)
      let result = try GroupRetrieval(
        query: FeatureFiles.read(scratch("q.npy"), identity: "group"),
        gallery: FeatureFiles.read(scratch("g.npy"), identity: "group"), removal: .init())
      let written = try JSONDecoder().decode(
        [String: RankingResult].self, from: Data(try scratch.text("groups.json").utf8))
      #expect(written == ["plain": result.plain, "removed": result.removed])
      #expect(outcome.output.contains("\ngroups, ambiguity removed  "))
      try expect(
        65, "\(scratch("q.csv")): no column \"identity\"; the header is \"path,group,camera\"", ["score"] + features)
    }

    @Test func mistakesAreOneLine() throws {
      let feedback = ["feedback"] + features, masks = ["score", "--masks"] + features
      try expect(64, "feedback: 0 rounds; expected 1 to 1000", feedback + ["--rounds", "0"])
      try expect(64, "feedback: -1 labels a round; expected 0 or more", feedback + ["--labels=-1"])
      try expect(64, "feedback: gamma = -2.0 is not within 0 … 1000", feedback + ["--gamma=-2"])
      try expect(
        64, "masks: 9 bits, but the vectors of \(scratch("g.npy")) have 8 elements", masks + ["--mask-bits", "9"])
      try expect(65, "\(scratch("n.npy")): No such file or directory", masks + ["--mask-training", scratch("n.npy")])
      let score = ["score"] + features
      try expect(64, "--mask-bits goes with --masks", score + ["--mask-bits", "4"])
      try expect(64, "--mask-training goes with --masks", score + ["--mask-training", scratch("n.npy")])
      try expect(64, "--expand-alpha goes with --expand", score + ["--expand-alpha", "2"])
      try expect(64, "masks: 0 neighbours; expected 1 to 10000", masks + ["--mask-neighbours", "0"])
      try expect(
        64, "--json \(scratch("q.npy")): would replace \(scratch("q.npy")), which is read",
        feedback + ["--json", scratch("q.npy")])
      try expect(64, "groups: a threshold of 2.0 is not within -1 … 1", ["groups", "--threshold", "2"] + features)
      try expect(
        65, "\(scratch("q.csv")): no column \"group\"; the header is \"path,identity,camera\"", ["groups"] + features)
      let wrong = try Command.run(feedback + ["--method", "rocchio"])
      #expect(wrong.code == 64 && wrong.complaints.count == 1 && wrong.errors.contains("relevanceScore"))
    }
  }
}
