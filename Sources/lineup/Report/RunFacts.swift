import Foundation
import Pictures
import Report
import Storage
import Tensors
import Training

/// What a run says of itself beside its metrics.
struct RunFacts {
  /// nil where the run has none.
  let configuration: Configuration?
  /// Of log.txt: with what it was computed, on which hosts, in how much memory; the latest of each.
  let machine: [String]

  init(_ run: RunHistory) throws {
    let file = RunFolder(path: run.path).configurationPath
    configuration = InputFile.size(file) == nil ? nil : try Configuration.saved(file)
    machine = Self.machine(of: "\(run.path)/log.txt")
  }

  /// Lines without their times, of which each kind's last one counts: a run may have moved.
  private static func machine(of path: String) -> [String] {
    guard let bytes = try? InputFile.read(path, limit: 1 << 28) else { return [] }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let kinds: [(Substring) -> Bool] = [
      { $0.contains(" kernels ") && $0.contains(" threads, ") }, { $0.contains("hosts and their ranks: ") },
      { $0.contains(" memory: ") },
    ]
    return kinds.compactMap { isOfKind in
      lines.last(where: isOfKind).map { line in
        // `2026-11-30 23:40:23Z info `
        let words = line.split(separator: " ", maxSplits: 3)
        return Printable.line(words.count == 4 ? String(words[3]) : String(line), limit: 400)
      }
    }
  }

  /// Key and value of what is set other than by default.
  func settings() throws -> [(key: String, value: String)] {
    try configuration?.differences(from: Configuration()).map { ($0.key, $0.new) } ?? []
  }
}

/// What runs were told, beside each other.
struct SettingsTables {
  private let groups: [RunGroup], facts: [RunFacts]

  /// `facts`: of the first run of each group.
  init(_ groups: [RunGroup], _ facts: [RunFacts]) { (self.groups, self.facts) = (groups, facts) }

  /// With the settings in which groups differ, if there are several, and the others folded up.
  func text() throws -> String {
    let all = try facts.map { Dictionary(uniqueKeysWithValues: try $0.settings()) }
    let keys = Set(all.flatMap(\.keys)).sorted()
    let usual = try Dictionary(uniqueKeysWithValues: Configuration().values())
    func row(_ key: String) -> (name: String, cells: [String]) {
      (
        name: key,
        cells: zip(all, facts).map { settings, facts in
          guard facts.configuration != nil else { return "–" }
          let value = Printable.line(settings[key] ?? usual[key] ?? "–", limit: 400)
          return HTML.element("span", [("class", "wrap")], Markup.escaped(value))
        }
      )
    }
    let differing = keys.filter { key in Set(all.map { $0[key] ?? "" }).count > 1 }, header = groups.map(\.name)
    var out = ""
    if groups.count > 1 {
      out +=
        differing.isEmpty
        ? HTML.paragraph("The runs have the same settings.")
        : HTML.table("Settings in which the runs differ", header: ["key"] + header, rows: differing.map(row))
    }
    let same = keys.filter { !differing.contains($0) }
    if !same.isEmpty {
      let table = HTML.table(
        groups.count > 1 ? "The same in all runs" : "Other than by default", header: ["key", "value"],
        rows: same.map { (name: $0, cells: Array(row($0).cells.prefix(1))) })
      out += HTML.element(
        "details", [], HTML.element("summary", [], "\(same.count) settings other than by default") + table)
    }
    for (group, facts) in zip(groups, facts) where !facts.machine.isEmpty {
      out += HTML.element("h3", [], Markup.escaped(group.name))
      out += facts.machine.map { HTML.paragraph($0, class: "muted") }.joined()
    }
    return out
  }
}
