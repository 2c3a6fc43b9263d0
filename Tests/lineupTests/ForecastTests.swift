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
      let rows = try JSONDecoder().decode([Row].self, from: Data(contentsOf: URL(fileURLWithPath: json)))
      #expect(rows.map(\.hosts) == [1, 2, 64] && rows.map(\.ranks) == [2, 4, 128])
      #expect(rows[0].efficiency == 1 && rows[1].seconds < rows[2].seconds && rows[2].efficiency < 0.9)
      let spread = try Command.succeed([
        "forecast", "--trace", path, "--hosts", "2", "--ranks", "1", "--network", "1gbit,0.1ms,2s/GB",
      ])
      #expect(spread.output.contains("\n      2        2  "), "\(spread.output)")
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
