import Foundation
import Testing

extension UntimedCommandTests {
  /// `lineup report` as a user sees it.
  @Suite struct ReportTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ name: String, seed: Int, _ settings: String...) throws -> String {
      let run = scratch(name)
      try Command.succeed(
        ["train", "--data", data, "--output", run] + Tiny.training
          + Tiny.settings("schedule.maxSteps=3", "model.trunk=resnet18", "seed=\(seed)")
          + settings.flatMap { ["--set", $0] })
      return run
    }

    @Test func onePageOfSeedsAndRecipes() throws {
      let runs = [
        try train("plain-1", seed: 1), try train("plain-2", seed: 2),
        try train("<b>&baseline", seed: 1, "model.head=baseline"),
      ]
      let file = scratch("report.html")
      let outcome = try Command.succeed(
        ["report"] + runs + ["--output", file, "--data", data, "--queries", "2", "--top", "3"])
      #expect(outcome.output.contains("report.html: 3 runs"))
      let page = try scratch.text("report.html")
      for part in [
        "id=\"summary\"", "id=\"curves\"", "id=\"figures\"", "id=\"cmc\"", "id=\"rankings\"", "id=\"pairs\"",
        "id=\"activations\"", "id=\"cameras\"", "id=\"time\"", "id=\"settings\"", "model.head", "plain (2 seeds)",
        " ± ",
        "&lt;b&gt;&amp;baseline", "data:image/jpeg;base64,", "✓",
      ] { #expect(page.contains(part), "\(part)") }
      #expect(
        !page.contains("<script") && !page.contains("<b>&") && !page.contains("href=\"http")
          && !page.contains("src=\"http"))
      // Every image says what is on it.
      let images = page.components(separatedBy: "<img ").dropFirst()
      #expect(!images.isEmpty && images.allSatisfy { $0.hasPrefix("alt=\"") && !$0.hasPrefix("alt=\"\"") })

      let plain = try Command.succeed(["report", runs[0], "--output", scratch("b.html")])
      let short = try scratch.text("b.html")
      #expect(plain.output.contains("1 run") && !short.contains("id=\"rankings\""))
    }

    @Test func whatCannotBeDoneIsRefused() throws {
      let run = try train("run", seed: 1)
      for (arguments, code) in [
        ([scratch("none"), "--output", scratch("a.html")], 65), ([run, "--output", scratch("a.pdf")], 64),
        ([run, run, "--output", scratch("a.html")], 64), ([run, "--output", "\(run)/config.yaml"], 64),
        ([run, "--output", scratch("a.html"), "--data", scratch("none")], 65),
        ([run, "--output", scratch("a.html"), "--queries", "0"], 64),
      ] as [([String], Int32)] {
        let outcome = try Command.run(["report"] + arguments)
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(arguments): \(outcome.errors)")
      }
      #expect(!FileManager.default.fileExists(atPath: scratch("a.html")))
    }
  }
}
