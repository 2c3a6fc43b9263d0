import Foundation
import Tensors
import TestSupport
import Testing

import Storage

@Suite struct AtomicFilesTests {
  private struct Stop: Error {}

  @Test func writesAndReplaces() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a.txt")
    try AtomicFiles.write("one", to: path)
    try AtomicFiles.write("two", to: path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "two")
    #expect(folder.names == ["a.txt"])
  }

  @Test func aFailureKeepsTheOldAndLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a.txt", "old")
    #expect(throws: Stop.self) {
      try AtomicFiles.write(to: path) { file in
        try file.write("half")
        #expect(folder.names.count == 2)  // it is written aside
        throw Stop()
      }
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(folder.names == ["a.txt"])
  }

  @Test func failedCallsNamePathAndReason() throws {
    #expect(
      message(.internal) { try AtomicFiles.write("x", to: "/dev/full") } == "/dev/full: No space left on device")
    let folder = try TemporaryFolder()
    let path = try folder.file("no/such/file")
    #expect(message(.internal) { try AtomicFiles.write("x", to: path) } == "\(path): No such file or directory")
    #expect(
      message(.internal) { try AtomicFiles.writeDirectory(path) { _ in } } == "\(path): No such file or directory")
    let taken = try folder.file("taken")
    try FileManager.default.createDirectory(atPath: taken + "/inside", withIntermediateDirectories: true)
    #expect(throws: Never.self) { try AtomicFiles.write("x", to: "/dev/null") }
    var status = stat()
    #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)  // and still a device
  }

  /// The system refuses to write past a limit in the middle of a file, as it does on a full disk.
  @Test func aDiskThatFillsUpKeepsTheOld() async throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a.bin", "old")
    let checkpoint = try folder.file("step-1")
    try AtomicFiles.writeDirectory(checkpoint) { try AtomicFiles.write("old", to: $0 + "/model") }
    await #expect(processExitsWith: .success) { [path = path as String, checkpoint = checkpoint as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 65536, rlim_max: 65536)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(2) }
      let bytes = [UInt8](repeating: 7, count: 100_000)
      let text = message(.internal) {
        try AtomicFiles.write(to: path) { file in try bytes.withUnsafeBytes { try file.write($0) } }
      }
      guard text == "\(path): File too large" else { exit(3) }
      let other = message(.internal) {
        try AtomicFiles.writeDirectory(checkpoint) { aside in
          try AtomicFiles.write("new", to: aside + "/model")
          try AtomicFiles.write(to: aside + "/optimizer") { file in try bytes.withUnsafeBytes { try file.write($0) } }
        }
      }
      guard other?.hasSuffix("/optimizer: File too large") == true else { exit(4) }
      exit(0)
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try String(contentsOfFile: checkpoint + "/model", encoding: .utf8) == "old")
    #expect(folder.names == ["a.bin", "step-1"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: checkpoint) == ["model"])
  }

  @Test func whatACrashLeavesIsCleared() async throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("a.txt", "old")
    let checkpoint = try folder.file("step-1")
    await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
      try AtomicFiles.write(to: path) { file in
        try file.write("half")
        kill(getpid(), SIGKILL)
      }
    }
    await #expect(processExitsWith: .signal(SIGKILL)) { [checkpoint = checkpoint as String] in
      try AtomicFiles.writeDirectory(checkpoint) { aside in
        try AtomicFiles.write("half", to: aside + "/model")
        kill(getpid(), SIGKILL)
      }
    }
    #expect(folder.names.count == 3 && folder.names.filter { $0.contains(".partial-") }.count == 2)
    // As a crash between the two renames of a replaced folder leaves it, and one after them.
    for name in [".step-2.replaced-9-abc", ".step-3.replaced-9-abc", "step-3"] {
      try FileManager.default.createDirectory(atPath: folder.path + "/" + name, withIntermediateDirectories: false)
      _ = try folder.file(name + "/model", name)
    }
    _ = try folder.file(".hidden", "stays")

    #expect(try AtomicFiles.cleanLeftovers(in: folder.path).count == 4)
    #expect(folder.names == [".hidden", "a.txt", "step-2", "step-3"])
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try String(contentsOfFile: folder.path + "/step-2/model", encoding: .utf8) == ".step-2.replaced-9-abc")
    #expect(try String(contentsOfFile: folder.path + "/step-3/model", encoding: .utf8) == "step-3")
    #expect(try AtomicFiles.cleanLeftovers(in: folder.path) == [])
  }

  @Test func directoriesAreReplacedWhole() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("step-1")
    try AtomicFiles.writeDirectory(path) { try AtomicFiles.write("1", to: $0 + "/a") }
    try AtomicFiles.writeDirectory(path + "/") { try AtomicFiles.write("2", to: $0 + "/b") }
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["b"])
    #expect(folder.names == ["step-1"])
    #expect(throws: Stop.self) {
      try AtomicFiles.writeDirectory(path) { aside in
        try AtomicFiles.write("3", to: aside + "/c")
        throw Stop()
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: path) == ["b"])
    #expect(folder.names == ["step-1"])
  }

  @Test func manifestsFindWhatChanged() throws {
    let folder = try TemporaryFolder()
    let a = try folder.file("a", "abc"), empty = try folder.file("empty", "")
    try Manifest.write(into: folder.path)
    let manifest = try Manifest.verify(folder.path)
    #expect(manifest.files.map(\.name) == ["a", "empty"] && manifest.files.map(\.bytes) == [3, 0])
    // FIPS 180-2, appendix B.1; and the hash of nothing.
    #expect(
      manifest.files.map(\.sha256) == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      ])
    func refusal() -> String? { message(.data) { try Manifest.verify(folder.path) } }
    _ = try folder.file("a", "abd")
    #expect(refusal() == "\(a): damaged, its SHA-256 is not that of its manifest")
    _ = try folder.file("a", "ab")
    #expect(refusal() == "\(a): has 2 bytes, its manifest says 3")
    _ = try folder.file("a", "abc")
    #expect(refusal() == nil)
    try FileManager.default.removeItem(atPath: empty)
    #expect(refusal() == "\(empty): missing")
    let own = try folder.file("manifest.json", "{\"files\": [{\"name\": \"a\"}]}")
    #expect(refusal() == "\(own): damaged")
    _ = try folder.file(
      "manifest.json", "{\"files\": [{\"name\": \"../x/a\", \"bytes\": 3, \"sha256\": \"\"}]}")
    #expect(refusal() == "\(folder.path)/../x/a: missing")
    try FileManager.default.removeItem(atPath: own)
    #expect(refusal() == "\(own): missing")
  }
}

@Suite struct MetricsLogTests {
  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  @Test func linesKeepTheirOrderAndNumbersTheirDigits() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("metrics.jsonl")
    let log = try MetricsLog(path: path)
    try log.append([
      "step": .integer(3), "loss": .number(0.1 + 0.2), "lr": .number(1e-8), "scale": .single(0.1), "bad": .number(.nan),
      "worse": .single(-.infinity), "skipped": .flag(false), "none": .null, "name": .text("a\"b\\\n\t\u{1}ü/"),
    ])
    // Visible at once, to another reader.
    #expect(
      try text(path) == """
        {"step": 3, "loss": 0.30000000000000004, "lr": 1e-08, "scale": 0.1, "bad": null, "worse": null, \
        "skipped": false, "none": null, "name": "a\\"b\\\\\\n\\t\\u0001ü/"}

        """)
    struct Line: Decodable { let name: String, loss: Double, scale: Float, bad: Double? }
    let parsed = try JSONDecoder().decode(Line.self, from: Data(text(path).utf8))
    #expect(parsed.name == "a\"b\\\n\t\u{1}ü/")
    #expect(parsed.loss == 0.1 + 0.2 && parsed.scale == 0.1 && parsed.bad == nil)
    try log.append([(key: "step", value: .integer(4))])
    #expect(try text(path).hasSuffix("}\n{\"step\": 4}\n"))
  }

  @Test func resumingDropsLaterStepsAndATornLine() throws {
    let folder = try TemporaryFolder()
    let whole = "{\"step\": 1, \"loss\": 2.50}\n{\"note\": 1}\n{\"step\": 2, \"mAP\": 0.5}\n"
    let later = "{\"step\": 3}\n{\"step\": 4, \"mAP\": 0.6}\n", torn = "{\"step\": 2, \"lo"
    let path = try folder.file("metrics.jsonl", whole + later + torn)
    try MetricsLog.truncate(path, afterStep: 2)
    #expect(try text(path) == whole)
    try MetricsLog.truncate(path, afterStep: 2)
    #expect(try text(path) == whole)
    #expect(folder.names == ["metrics.jsonl"])
    try MetricsLog.truncate(path, afterStep: 0)
    #expect(try text(path) == "{\"note\": 1}\n")
    let missing = try folder.file("missing")
    try MetricsLog.truncate(missing, afterStep: 2)
    #expect(folder.names == ["metrics.jsonl"])
    _ = try folder.file("metrics.jsonl", "{\"step\": 1}\n{\"step\": \n{\"step\": 2}\n")
    #expect(
      message(.data) { try MetricsLog.truncate(path, afterStep: 2) }
        == "\(path): line 2 is not a JSON object with a whole number as its step")
  }

  @Test func openingRemovesATornLine() throws {
    let folder = try TemporaryFolder()
    let path = try folder.file("metrics.jsonl", "{\"step\": 1}\n{\"ste")
    try MetricsLog(path: path).append(["step": .integer(2)])
    #expect(try text(path) == "{\"step\": 1}\n{\"step\": 2}\n")
    let torn = try folder.file("torn", "{\"ste")
    try MetricsLog(path: torn).append(["step": .integer(1)])
    #expect(try text(torn) == "{\"step\": 1}\n")
  }

  @Test func aFullDiskIsNamed() throws {
    #expect(
      message(.internal) { try MetricsLog(path: "/dev/full").append(["step": .integer(1)]) }
        == "/dev/full: No space left on device")
  }
}
