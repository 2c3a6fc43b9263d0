import Foundation
import Tensors

/// The recipes that are shipped with the program, found by name: `bot` is configs/bot.yaml, `systems/scan` one of those of
/// docs/systems.md.
package enum Recipes {
  /// The file that `name` means: itself where there is one or where it is written as a path, else the recipe.
  package static func path(_ name: String) -> String {
    guard isName(name), !FileManager.default.fileExists(atPath: name) else { return name }
    return folder.map { "\($0)/\(name).yaml" }.flatMap { FileManager.default.fileExists(atPath: $0) ? $0 : nil } ?? name
  }

  /// - Throws: `Failure.usage` with the recipes that there are, where `name` is neither a file nor one of them.
  package static func require(_ name: String) throws {
    guard isName(name), path(name) == name, !FileManager.default.fileExists(atPath: name) else { return }
    let near = Spelling.nearest(word: name, among: names).map { "; did you mean \($0)?" } ?? ""
    throw Failure.usage(
      "--config \(Printable.line(name, limit: 80))",
      names.isEmpty
        ? "no such file, and no recipes: their folder, configs, is neither above the program nor in a share/lineup there"
        : "no such file, and no recipe of this name; lineup config --recipes lists them\(near)")
  }

  /// In alphabetical order, those of systems last.
  package static var names: [String] {
    guard let folder else { return [] }
    return ["", "systems/"].flatMap { part in
      ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(part)")) ?? [])
        .filter { $0.hasSuffix(".yaml") }.map { part + $0.dropLast(5) }.sorted()
    }
  }

  /// Each with what the comment at its top says first.
  package static var summaries: [(name: String, summary: String)] {
    names.map { name in
      let text = (try? String(contentsOfFile: path(name), encoding: .utf8)) ?? ""
      let comment = text.split(separator: "\n").prefix { $0.hasPrefix("#") }.map { $0.drop { "# ".contains($0) } }
        .joined(separator: " ")
      let sentence = comment.range(of: ". ").map { String(comment[..<$0.lowerBound]) } ?? comment
      return (name, sentence)
    }
  }

  private static func isName(_ name: String) -> Bool {
    let bare = name.hasPrefix("systems/") ? name.dropFirst(8) : name[...]
    return !bare.contains("/") && !bare.contains(".") && !bare.isEmpty
  }

  /// `configs` in a folder above the program (a checkout's .build is in one), or `share/lineup/configs` (an installed
  /// program's, /usr/local/bin/lineup and /usr/local/share/lineup/configs).
  private static let folder: String? = {
    guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else { return nil }
    var place = URL(fileURLWithPath: program).deletingLastPathComponent()
    while place.path != "/" {
      for folder in ["share/lineup/configs", "configs"].map({ place.appendingPathComponent($0).path })
      where FileManager.default.fileExists(atPath: folder + "/quickstart.yaml") { return folder }
      place.deleteLastPathComponent()
    }
    return nil
  }()
}
