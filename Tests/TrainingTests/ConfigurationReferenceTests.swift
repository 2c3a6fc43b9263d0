import Foundation
import TestSupport
import Testing

import Training

@Suite struct ConfigurationReferenceTests {
  /// Of the sources, where they are checked out.
  private var root: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .path
  }

  @Test func theTableHasExactlyTheKeysOfTheSchema() throws {
    let keys = ConfigurationKey.all
    #expect(try keys.map(\.path) == Configuration().values().map(\.key))
    for section in ConfigurationSection.all {
      #expect(
        section.keys.allSatisfy { $0.path.hasPrefix(section.name.isEmpty ? "" : section.name + ".") }, "\(section.name)"
      )
      #expect(!section.meaning.isEmpty && !section.keys.isEmpty)
    }
    #expect(keys.allSatisfy { $0.meaning.hasSuffix(".") || $0.meaning.hasSuffix(")") })
    #expect(ConfigurationSection.names.contains("losses.triplet"))
  }

  /// The types of the table are those that values are decoded as.
  @Test func typesAreThoseOfTheSchema() throws {
    for key in ConfigurationKey.all {
      let expected = try #require(
        message(.usage) { _ = try Configuration.resolve(settings: ["\(key.path)={}"]) }?.components(
          separatedBy: "expected "
        ).last)
      switch key.type {
      case "integer": #expect(expected == "an integer", "\(key.path)")
      case "number": #expect(expected == "a number", "\(key.path)")
      case "list of integers", "list of words", "list of heads", "list of texts":
        #expect(expected.hasPrefix("a list"), "\(key.path)")
      default: #expect(expected == key.type, "\(key.path)")
      }
    }
    let one = ConfigurationKey.all.first { $0.path == "model.head" }
    #expect(one?.words == ["msfl", "baseline"] && one?.type == "one of msfl, baseline")
  }

  @Test func theDocumentedReferenceIsTheTable() throws {
    let file = try String(contentsOfFile: root + "/docs/configuration.md", encoding: .utf8)
    #expect(
      try file == ConfigurationReference.markdown(), "write it anew: lineup config --markdown > docs/configuration.md")
    #expect(file.contains("| `sampling.images` | integer | `4` | from 1 to 16384 | "))
    // No table is broken by a bar of its own.
    for line in file.split(separator: "\n") where line.hasPrefix("|") {
      #expect(line.count { $0 == "|" } == 6, "\(line)")
    }
  }

  @Test func listsSectionsAndKeys() throws {
    let all = try ConfigurationReference().text()
    for key in ConfigurationKey.all { #expect(all.contains("\n  \(key.path) = "), "\(key.path)") }
    let section = try ConfigurationReference().text("sampling")
    #expect(
      section.hasPrefix("sampling: ") && section.contains("  sampling.images = 4 ") && !section.contains("threads"))
    #expect(try ConfigurationReference().text("losses.triplet").contains("losses.triplet.margin = 0.3"))
    let key = try ConfigurationReference().text("threads")
    #expect(
      key.hasPrefix("threads\n") && key.contains("  default   0\n") && key.contains("  range     from 0 to 1024\n"))
    for (name, nearest) in [
      ("sampling.image", "sampling.images"), ("smapling", "sampling"), ("epochs", "schedule.epochs"),
    ] {
      let refusal = message(.usage) { _ = try ConfigurationReference().text(name) }
      #expect(refusal == "unknown key \(name); did you mean \(nearest)?")
    }
    #expect(message(.usage) { _ = try ConfigurationReference().text("sampl.") } != nil)
    #expect(message(.usage) { _ = try ConfigurationReference().text("") } == "unknown key ")
  }

  @Test func resolvedValuesStandBesideTheDefaults() throws {
    let reference = try ConfigurationReference(Configuration.resolve(settings: ["sampling.images=2"]))
    let section = try reference.text("sampling")
    #expect(
      section.contains("sampling.images = 2 (default 4) ") && section.contains("sampling.identities = 8 (default) "))
    #expect(try reference.text("sampling.images").contains("  default   4\n  value     2\n"))
  }

  @Test func recipesAndOlderRunsResolve() throws {
    let recipes = try ["", "systems/"].flatMap { part in
      try FileManager.default.contentsOfDirectory(atPath: "\(root)/configs/\(part)").filter { $0.hasSuffix(".yaml") }
        .map {
          part + $0
        }
    }
    #expect(recipes.count > 35)
    for recipe in recipes {
      #expect(throws: Never.self) { try Configuration.resolve(file: "\(root)/configs/\(recipe)") }
    }
    // As runs wrote it before these sections were there.
    let folder = try TemporaryFolder()
    var configuration = Configuration()
    configuration.sampling.images = 2
    let sections = try configuration.yaml().components(separatedBy: "\n")
    let older = sections.filter {
      !["watchdog:", "divergence:"].contains($0) && !$0.contains("seconds:") && !$0.contains("skipped")
    }
    #expect(older.count == sections.count - 4)
    #expect(try Configuration.resolve(file: folder.file("config.yaml", older.joined(separator: "\n"))) == configuration)
  }
}
