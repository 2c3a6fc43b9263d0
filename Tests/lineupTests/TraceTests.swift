import Foundation
import Testing
import Training

/// A timeline as `--trace` writes it and a viewer reads it.
struct TraceFile: Decodable {
  struct Event: Decodable {
    let name: String, ph: String
    let pid: Int, tid: Int
    let cat: String?
    /// Microseconds since the step began.
    let ts: Double?, dur: Double?
    let args: [String: String]?

    var end: Double { ts! + dur! }
  }
  let traceEvents: [Event]

  init(path: String) throws {
    self = try JSONDecoder().decode(
      TraceFile.self, from: try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// The name of each lane that a rank has.
  func lanes(_ rank: Int) -> [Int: String] {
    let names = traceEvents.filter { $0.pid == rank && $0.name == "thread_name" && $0.ph == "M" }
    return Dictionary(uniqueKeysWithValues: names.map { ($0.tid, $0.args?["name"] ?? "") })
  }

  func spans(_ rank: Int, _ lane: String? = nil) -> [Event] {
    let names = lanes(rank)
    return traceEvents.filter {
      $0.ph == "X" && $0.pid == rank && (lane == nil || names[$0.tid] == lane)
    }
  }
}

extension CommandTests {
  /// `lineup train --trace`, the shares of a step in `metrics.jsonl`, and what is set of `communication`.
  @Suite(.serialized) struct TraceTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ run: String, _ settings: String..., resume: Bool = false) -> [String] {
      ["train", "--data", data, "--output", scratch(run)] + Tiny.training
        + settings.flatMap { ["--set", $0] }
        + (resume ? ["--resume"] : [])
    }

    /// Three buckets of a megabyte in float64; the regularizer for the other phases.
    @Test func theTimelineOfTwoRanks() throws {
      let path = scratch("trace.json")
      let output = try Command.succeed(
        train(
          "run", "schedule.maxSteps=5", "model.width=0.125", "communication.bucketMegabytes=1",
          "msgr.lambda=0.01",
          "lossScale.initial=16") + ["--trace", path], ranks: 2
      ).output
      #expect(output.contains("trace of step 3: \(path)"))
      let trace = try TraceFile(path: path)
      #expect(Set(trace.traceEvents.map(\.pid)) == [0, 1])
      for rank in 0..<2 {
        let process = trace.traceEvents.filter { $0.pid == rank && $0.name == "process_name" }
        #expect(process.count == 1 && process.first?.args == ["name": "rank \(rank)"])
        let lanes = trace.lanes(rank)
        #expect(lanes[0] == "step" && lanes[1] == "gradient buckets")
        #expect(lanes.allSatisfy { $0.key < 2 || $0.value == "loader \($0.key - 2)" })
        let spans = trace.spans(rank)
        let step = trace.spans(rank, "step")
        let buckets = trace.spans(rank, "gradient buckets")
        #expect(spans.allSatisfy { lanes[$0.tid] != nil && $0.dur! >= 0 })

        // The phases in the order of the regularized step, apart; what is no phase does not overlap.
        // (Tangents that overflow are computed again.)
        var phases = step.filter { $0.cat == "phase" }
        while let again = phases.indices.dropLast().first(where: {
          phases[$0].name == phases[$0 + 1].name
        }) {
          phases.remove(at: again)
        }
        #expect(phases.map(\.name) == ["forward", "loss", "recording", "tangents", "backward"])
        #expect(zip(phases, phases.dropFirst()).allSatisfy { $0.end <= $1.ts! + 0.01 })
        let parts = step.filter { $0.cat != "phase" }
        #expect(zip(parts, parts.dropFirst()).allSatisfy { $0.end <= $1.ts! + 0.01 })
        let activities = [
          "collective", "convolution", "loading", "optimizer", "packing", "reduction",
        ]
        #expect(Set(parts.map { $0.cat! }).sorted() == activities)
        let backward = phases[4]
        let inside = parts.filter { $0.ts! >= backward.ts! && $0.end <= backward.end + 0.01 }
        let last = try #require(inside.last { $0.cat == "convolution" })
        #expect(last.name.contains("conv1") && !last.name.contains("layer"), "\(last.name)")

        // Each bucket waits, then goes; all lie after the beginning of the backward pass, before the end of the wait.
        #expect(buckets.count >= 6 && buckets.allSatisfy { $0.cat == "bucket" })
        for (index, bucket) in buckets.enumerated() {
          #expect((bucket.name == "wait for ranks") == (index % 2 == 0))
          #expect(index % 2 == 0 || bucket.name.hasSuffix(" gradients as float64"))
        }
        #expect(zip(buckets, buckets.dropFirst()).allSatisfy { $0.end <= $1.ts! + 0.01 })
        let wait = try #require(step.first { $0.cat == "reduction" })
        #expect(buckets.first!.ts! >= backward.ts! && buckets.last!.end <= wait.end + 0.01)
        #expect(backward.end <= wait.ts! + 0.01)
      }
      let sizes = (0..<2).map { rank in trace.spans(rank, "gradient buckets").map(\.name) }
      #expect(sizes[0] == sizes[1])
      let counts = sizes[0].compactMap { Int($0.prefix { $0.isNumber }) }
      #expect(
        counts.dropLast().allSatisfy { $0 == 125_000 } && counts.last! <= 125_000, "\(counts)")

      // The line of the traced step: shares are sums of its spans, of what is neither a phase nor another thread's.
      let line = try #require(
        try RunFiles(path: scratch("run")).metrics().first { $0["step"] == 3 })
      for activity in ["convolution", "collective", "reduction", "loading", "packing", "optimizer"] {
        let total = trace.spans(0, "step").filter { $0.cat == activity }.reduce(0) {
          $0 + $1.dur! * 1e-6
        }
        let share = try #require(line["\(activity)Share"])
        #expect(abs(share * line["seconds"]! - total) < 1e-6 * total + 1e-9, "\(activity)")
      }
    }

    /// A loader may have begun with an image before; the other threads work for this step alone.
    @Test func theTimelineBeginsWithTheStep() throws {
      try Command.succeed(
        train("run", "schedule.maxSteps=3") + ["--trace", scratch("trace.json")], ranks: 2)
      let trace = try TraceFile(path: scratch("trace.json"))
      for rank in 0..<2 {
        let early = (trace.spans(rank, "step") + trace.spans(rank, "gradient buckets")).filter {
          $0.ts! < 0
        }
        #expect(early.isEmpty, "rank \(rank): \(early.map { "\($0.name) at \($0.ts!) µs" })")
      }
    }

    @Test func oneRankHasATimelineToo() throws {
      let path = scratch("trace.json")
      // A run of two steps has no third one: its last is traced. The file there is replaced.
      try "old".write(toFile: path, atomically: false, encoding: .utf8)
      let output = try Command.succeed(train("run", "schedule.maxSteps=2") + ["--trace", path])
        .output
      #expect(output.contains("trace of step 2: "))
      let trace = try TraceFile(path: path)
      #expect(
        Set(trace.traceEvents.map(\.pid)) == [0] && trace.spans(0, "gradient buckets").isEmpty)
      #expect(
        trace.spans(0, "step").filter { $0.cat == "phase" }.map(\.name) == [
          "forward", "loss", "backward",
        ])
    }

    @Test(arguments: [nil, 2] as [Int?]) func sharesAreParts(_ ranks: Int?) throws {
      try Command.succeed(
        train("run", "schedule.maxSteps=4", "evaluation.everyEpochs=1"), ranks: ranks)
      let lines = try RunFiles(path: scratch("run")).metrics().filter { $0["loss"] != nil }
      #expect(lines.count == 4)
      for line in lines {
        let keys = line.keys.filter { $0.hasSuffix("Share") }.sorted()
        #expect(
          keys == [
            "collectiveShare", "convolutionShare", "loadingShare", "optimizerShare", "packingShare",
            "reductionShare",
          ])
        #expect(keys.allSatisfy { (0...1).contains(line[$0]!) })
        #expect(keys.reduce(0) { $0 + line[$1]! } <= 1 + 1e-9, "they do not overlap")
        #expect(
          line["convolutionShare"]! > 0 && line["packingShare"]! > 0 && line["optimizerShare"]! > 0)
      }
    }

    @Test func wrongSettingsAreNamed() throws {
      let missing = scratch("missing")
      for (words, arguments) in [
        (["--trace", missing], train("run") + ["--trace", "\(missing)/trace.json"]),
        (["--trace", "is a folder"], train("run") + ["--trace", scratch("")]),
        (["--trace", "missing"], train("run") + ["--trace", ""]),
        (["--trace", "no folder /dev/null"], train("run") + ["--trace", "/dev/null/trace.json"]),
        (
          ["communication.wire", "float8", "float64, int32, float32, float16"],
          train("run", "communication.wire=float8")
        ),
        (
          ["communication.bucketMegabytes", "0", "1 to 2000"],
          train("run", "communication.bucketMegabytes=0")
        ),
        (
          ["communication.bucketMegabytes", "2001"],
          train("run", "communication.bucketMegabytes=2001")
        ),
        (
          ["communication.bucketMegabytes", "some"],
          train("run", "communication.bucketMegabytes=some")
        ),
        (
          ["communication.wires", "communication.wire"], train("run", "communication.wires=float16")
        ),
      ] {
        for ranks in words[0] == "--trace" ? [nil, 2] : [nil] as [Int?] {
          let outcome = try Command.run(arguments, ranks: ranks, timeout: 30)
          let complaint = outcome.complaints.first ?? ""
          #expect(
            outcome.code == 64 && outcome.complaints.count == 1,
            "\(arguments.suffix(2)): \(outcome)")
          #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
        }
      }
      #expect(
        !FileManager.default.fileExists(atPath: scratch("run"))
          && !FileManager.default.fileExists(atPath: missing))
    }

    @Test func aRunGoesOnWithAnotherWire() throws {
      try Command.succeed(train("run", "schedule.epochs=1"), ranks: 2)
      let resumed = try Command.succeed(
        train(
          "run", "schedule.epochs=2", "communication.wire=float16",
          "communication.bucketMegabytes=3", resume: true),
        ranks: 2)
      let lines = resumed.output.split(separator: "\n").filter {
        $0.contains("differs from the checkpoint")
      }
      #expect(
        lines == [
          "differs from the checkpoint: schedule.epochs was 1, now 2",
          "differs from the checkpoint: communication.wire was float64, now float16",
          "differs from the checkpoint: communication.bucketMegabytes was 8, now 3",
        ])
      let run = RunFiles(path: scratch("run"))
      #expect(try run.metrics().trainingSteps == Array(1...16) && run.latest == RunFiles.name(16))
      #expect(try Checkpoint(path: run.path).state.configuration.communication.wire == .float16)
    }
  }
}
