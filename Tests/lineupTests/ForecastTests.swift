import Foundation
import Testing
import Training

extension UntimedCommandTests {
  @Suite(.serialized) struct ForecastTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func trace(_ name: String, ranks: Int?, _ settings: String...) throws -> String {
      try Command.succeed(
        ["train", "--data", data, "--output", scratch("run-" + name), "--trace", scratch(name)] + Tiny.training
          + (settings + ["schedule.maxSteps=4"]).flatMap { ["--set", $0] }, ranks: ranks)
      return scratch(name)
    }

    private struct Report: Decodable { let forecasts: [Row] }
    private struct Row: Decodable {
      let hosts: Int, ranks: Int, seconds: Double, efficiency: Double, limit: String
    }

    @Test(arguments: ["float64", "int32", "float16"]) func aTracedStepIsForeseenOnManyHosts(_ wire: String) throws {
      let path = try trace("trace.json", ranks: 2, "communication.wire=\(wire)"), json = scratch("forecast.json")
      let outcome = try Command.succeed([
        "forecast", "--trace", path, "--hosts", "1,2,64", "--network", "10gbit,20us", "--json", json,
      ])
      let gradients = try #require(
        outcome.output.firstMatch(of: /([0-9]+) collectives, ([0-9.]+) MB of gradients in ([0-9]+) buckets/))
      #expect(Int(gradients.1)! > 100 && Int(gradients.3)! >= 1, "\(outcome.output)")
      let profile = try StepProfile(trace: path), bytes = profile.buckets.reduce(0) { $0 + $1.bytes }
      #expect(profile.ranks == 2 && profile.collectives.contains { $0.bytes > 0 } && bytes > 0)
      #expect(profile.buckets.allSatisfy { $0.start > 0 && $0.start < profile.seconds })
      #expect(profile.backwardEnd < profile.seconds)
      let step = try #require(RunFiles(path: scratch("run-trace.json")).metrics().first { $0["step"] == 3 }?["seconds"])
      #expect(abs(profile.seconds - step) < 0.2 * step, "\(profile.seconds) of \(step)")
      let rows = try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: json))).forecasts
      #expect(rows.map(\.hosts) == [1, 2, 64] && rows.map(\.ranks) == [2, 4, 128])
      #expect(rows[0].efficiency == 1 && rows[1].seconds < rows[2].seconds && rows[2].efficiency < rows[1].efficiency)
      let spread = try Command.succeed([
        "forecast", "--trace", path, "--hosts", "2", "--ranks", "1", "--network", "1gbit,0.1ms,2s/GB",
      ])
      #expect(spread.output.contains("\n      2        2  "), "\(spread.output)")
    }

    /// A trace that was written to, in one place each.
    @Test func aDamagedTraceIsRefused() throws {
      let path = try trace("trace.json", ranks: 2), sound = try String(contentsOfFile: path, encoding: .utf8)
      let backward = try #require(
        sound.split(separator: "\n").first { $0.contains("\"backward\"") && $0.contains("\"pid\": 0") })
      let bucket = try #require(sound.firstMatch(of: /[0-9]+ gradients as float64/)).output
      func length(_ value: String) -> String {
        String(backward).replacing(/"dur": [0-9.e+-]+/, with: "\"dur\": \(value)")
      }
      for (words, damaged) in [
        (["backward"], sound.replacing(backward, with: length("-1e9"))),
        (["backward"], sound.replacing(backward, with: length("1e300"))),
        (["backward"], sound.replacing(backward, with: length("null"))),
        (
          ["bucket 0", "9223372036854775807"], sound.replacing(bucket, with: "9223372036854775807 gradients as float64")
        ),
        (["bucket 0", "-5"], sound.replacing(bucket, with: "-5 gradients as float64")),
        (["bucket 0", "float128"], sound.replacing(bucket, with: "8 gradients as float128")),
        (["one rank"], sound.replacing("\"pid\": 1", with: "\"pid\": 0")),
        (["ranks 0, 7"], sound.replacing("\"pid\": 1", with: "\"pid\": 7")),
      ] as [([String], String)] {
        #expect(damaged != sound)
        try damaged.write(toFile: scratch("damaged.json"), atomically: true, encoding: .utf8)
        let outcome = try Command.run([
          "forecast", "--trace", scratch("damaged.json"), "--hosts", "2", "--network", "1gbit,50us",
        ])
        let complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == 65 && outcome.complaints.count == 1 && outcome.output.isEmpty, "\(words): \(outcome)")
        #expect(
          ([scratch("damaged.json")] + words).allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
      }
    }

    @Test func whatIsWrongIsNamed() throws {
      let alone = try trace("alone.json", ranks: nil), other = scratch("other.json")
      try "{\"traceEvents\": []}".write(toFile: other, atomically: true, encoding: .utf8)
      try "text".write(toFile: scratch("text"), atomically: true, encoding: .utf8)
      for (code, words, arguments) in [
        (65, [alone, "one rank"], ["--trace", alone]), (65, [other, "not a trace"], ["--trace", other]),
        (65, ["text", "not a trace"], ["--trace", scratch("text")]),
        (65, ["missing"], ["--trace", scratch("missing")]),
        (64, ["--hosts", "0"], ["--trace", alone, "--hosts", "2,0"]),
        (64, ["--hosts"], ["--trace", alone, "--hosts", "2,,4"]),
        (64, ["--network", "fast"], ["--trace", alone, "--network", "fast"]),
        (64, ["--ranks"], ["--trace", alone, "--ranks", "0"]),
        (64, ["--json"], ["--trace", alone, "--json", scratch("missing") + "/a.json"]),
      ] as [(Int32, [String], [String])] {
        var arguments = ["forecast"] + arguments
        if !arguments.contains("--hosts") { arguments += ["--hosts", "2"] }
        if !arguments.contains("--network") { arguments += ["--network", "1gbit,50us"] }
        let outcome = try Command.run(arguments)
        let complaint = outcome.complaints.first ?? ""
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(arguments): \(outcome)")
        #expect(words.allSatisfy { complaint.contains($0) }, "\(complaint), expected \(words)")
      }
    }
  }
}
