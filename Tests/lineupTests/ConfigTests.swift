import Foundation
import Testing

extension UntimedCommandTests {
  /// `lineup config`, as a user types it.
  @Suite struct ConfigTests {
    @Test func listsAndResolves() throws {
      let all = try Command.succeed(["config"])
      #expect(
        all.output.contains("  watchdog.seconds = 300 ") && all.output.contains("  divergence.skippedSteps = 30 "))
      let section = try Command.succeed(["config", "sampling", "--set", "sampling.images=2"], ranks: 2)
      #expect(section.output.components(separatedBy: "sampling.images = 2 (default 4) ").count == 2)
      #expect(try Command.succeed(["config", "--markdown"]).output.hasPrefix("# Configuration\n"))
      let scratch = try Scratch(), file = scratch("config.yaml")
      let yaml = try Command.succeed(["config", "--yaml", "--set", "threads=3"]).output
      try yaml.write(toFile: file, atomically: false, encoding: .utf8)
      #expect(try Command.succeed(["config", "--yaml", "--config", file]).output == yaml)
    }

    /// Every recipe is found by its name, from any folder, says what it is, and is a configuration.
    @Test func findsRecipesByName() throws {
      let list = try Command.succeed(["config", "--recipes"]).output.split(separator: "\n")
      let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../configs")
        .path
      let files = try ["", "systems/"].flatMap { part in
        try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(part)").filter { $0.hasSuffix(".yaml") }.map {
          part + $0
        }
      }
      #expect(list.count == files.count && list.count > 35)
      for line in list {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        #expect(words.count == 2 && files.contains(words[0] + ".yaml"), "\(line)")
        #expect(try !Command.succeed(["config", "--yaml", "--config", words[0]]).output.isEmpty)
      }
      #expect(try Command.succeed(["config", "model.width", "--config", "quickstart"]).output.contains("0.25"))
    }

    @Test func refuses() throws {
      for (arguments, words) in [
        (["sampling.image"], "unknown key sampling.image; did you mean sampling.images?"),
        (["--set", "threads", "3"], "--set threads: expected key=value"),
        (["--set", "sampling.image=4"], "did you mean sampling.images?"),
        (["threads", "--yaml"], "one at a time"), (["--markdown", "--set", "threads=3"], "--markdown"),
        (["--config", "/dev/zero"], "not a regular file"), (["--recipes", "--yaml"], "one at a time"),
        (
          ["--config", "quickstar"],
          "no recipe of this name; lineup config --recipes lists them; did you mean quickstart?"
        ),
        (["--config", "none.yaml"], "none.yaml: no such configuration file"),
      ] {
        let outcome = try Command.run(["config"] + arguments, timeout: 30)
        #expect(outcome.code == 64 && outcome.output.isEmpty, "\(arguments)")
        #expect(outcome.complaints.count == 1 && outcome.complaints[0].contains(words), "\(outcome.errors)")
      }
    }
  }
}
