import Foundation
import TestSupport
import Testing

import Training

/// Files that would take all memory, all of the stack or for ever are one line.
@Suite struct ConfigurationTextTests {
  private func refusal(_ text: String) throws -> String? {
    let folder = try TemporaryFolder()
    let file = try folder.file("recipe.yaml", text)
    let message = message(.usage) { _ = try Configuration.resolve(file: file) }
    #expect(message?.contains("\n") != true && message?.count ?? 0 < 400)
    return message?.replacingOccurrences(of: folder.path + "/", with: "")
  }

  /// `count` generations of lists, each of `width` times the one before.
  private func bomb(_ count: Int, width: Int, seed: String) -> String {
    var text = "a0: &a0 \(seed)\n"
    for i in 1...count {
      text += "a\(i): &a\(i) [\(Array(repeating: "*a\(i - 1)", count: width).joined(separator: ", "))]\n"
    }
    return text
  }

  @Test func aliasesDoNotMultiply() throws {
    let small = bomb(8, width: 9, seed: "[x,x,x,x,x,x,x,x,x]")
    #expect(small.utf8.count < 600)
    let aliases = "recipe.yaml: more than 8 aliases (*name), as no configuration needs"
    #expect(try refusal(small) == aliases)
    #expect(
      message(.usage) { _ = try Configuration.resolve(settings: ["threads={\(small)}"]) }?.contains("8 aliases") == true
    )
    // Wherever an alias may stand.
    for line in ["[*a]", "[1,*a]", "{*a : 1}", "{b: *a}", "- *a", "? *a", "b: *a"] {
      #expect(try refusal(String(repeating: line + "\n", count: 9)) == aliases, "\(line)")
    }
    // Few aliases of much.
    let large = bomb(4, width: 2, seed: "[\(String(repeating: "x,", count: 9000))]")
    #expect(try refusal(large) == "recipe.yaml: more than 10000 values, as no configuration has")
    // What is no alias.
    #expect(try refusal(String(repeating: "# 2*a and **b** and a*b\n", count: 50) + "threads: 1\n") == nil)
    let folder = try TemporaryFolder()
    let file = try folder.file("recipe.yaml", "schedule: {epochs: &n 7, warmupEpochs: *n}\n")
    #expect(try Configuration.resolve(file: file).schedule.warmupEpochs == 7)
  }

  @Test(arguments: ["[", "{a: ", "- ", "? ", "a:\u{85}- - ", "[[[ #]]]\n", "[ '", "\t[", "{? "])
  func levelsAreFew(opening: String) throws {
    let text = try refusal(String(repeating: opening, count: 100_000))
    #expect(text != nil)
  }

  @Test func blocksAreFewLevelsDeep() throws {
    let deep = { count in (0..<count).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n") }
    #expect(try refusal(deep(500)) == "recipe.yaml: a line that is indented by more than 128")
    #expect(try refusal(deep(100)) == "recipe.yaml: more than 64 levels of lists and sections in one another")
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
      let text = String(repeating: open, count: 200) + "1" + String(repeating: close, count: 200)
      #expect(try refusal(text) == "recipe.yaml: more than 64 levels of lists and sections in one another")
    }
    #expect(
      try refusal("threads: \(String(repeating: "[", count: 60))1\(String(repeating: "]", count: 60))")?.hasPrefix(
        "recipe.yaml: threads is [[[[") == true)
  }

  @Test func sizesAreBounded() throws {
    #expect(try refusal("threads: 1\n#" + String(repeating: "x", count: 1 << 20))?.contains("bytes, more than") == true)
    #expect(try refusal("[\(String(repeating: "x,", count: 400_000))]")?.contains("more than 10000 values") == true)
    let long = String(repeating: "7", count: 5000)
    #expect(try refusal("threads: \(long)") == "recipe.yaml: a value of 5000 bytes, more than 4096")
    let word = try #require(try refusal("model: {head: \(String(repeating: "x", count: 4000))}"))
    #expect(word.hasPrefix("recipe.yaml: model.head is xxx") && word.count < 180)
    let key = try #require(try refusal("\(String(repeating: "k", count: 900)): 1"))
    #expect(key.hasPrefix("recipe.yaml: unknown key kkk") && key.count < 130)
  }

  @Test func onlyFilesAreRead() throws {
    let folder = try TemporaryFolder()
    func refusal(_ file: String) -> String? { message(.usage) { _ = try Configuration.resolve(file: file) } }
    let pipe = try folder.file("pipe")
    try #require(mkfifo(pipe, 0o600) == 0)
    #expect(refusal(pipe) == "\(pipe): not a regular file")
    #expect(refusal("/dev/zero") == "/dev/zero: not a regular file")
    #expect(refusal(folder.path) == "\(folder.path): Is a directory")
    let other = try folder.file("other.yaml")
    try Data([0x61, 0xff, 0xfe]).write(to: URL(fileURLWithPath: other))
    #expect(refusal(other) == "\(other): not UTF-8 text")
  }

  /// Escape sequences of a file or setting do not reach the terminal.
  @Test func messagesCanBePrinted() throws {
    for text in ["model.head=\"\\e[31m\"", "\u{1b}[2J=1", "model.head=\u{1b}[31m", "threads=\"\\n\\n\""] {
      let shown = try #require(message(.usage) { _ = try Configuration.resolve(settings: [text]) })
      #expect(!shown.unicodeScalars.contains { $0.value < 0x20 }, "\(shown)")
    }
  }
}
