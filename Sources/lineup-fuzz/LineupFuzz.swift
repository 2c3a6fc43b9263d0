import Foundation
import Fuzzing
import Tensors

// Built by launch/fuzz, libFuzzer has its own `main` and calls this. Without libFuzzer, inputs are files.

#if LINEUP_FUZZER
  /// The target that the environment names.
  nonisolated(unsafe) private let runner: FuzzRunner = {
    let name = ProcessInfo.processInfo.environment["LINEUP_FUZZ_TARGET"] ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
      LineupFuzz.end("LINEUP_FUZZ_TARGET is \"\(name)\", expected one of \(LineupFuzz.names)")
    }
    do {
      if let path = ProcessInfo.processInfo.environment["LINEUP_FUZZ_WORDS"] { try LineupFuzz.writeWords(target, path) }
      return try FuzzRunner(target)
    } catch {
      LineupFuzz.end("\(error)")
    }
  }()

  @_cdecl("LLVMFuzzerTestOneInput")
  public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do {
      _ = try runner.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
    } catch {
      fatalError("\(runner.target): \(error)")
    }
    return 0
  }
#else
  @main struct Main {
    static func main() throws { try LineupFuzz.run() }
  }
#endif

enum LineupFuzz {
  static let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
  private static let usage = """
    usage: lineup-fuzz TARGET FILE…            what a reader says to files, and the most memory that it took
           lineup-fuzz --write-corpus FOLDER
    targets: \(names)
    """

  static func end(_ message: String) -> Never {
    FileHandle.standardError.write(Data("lineup-fuzz: \(message)\n".utf8))
    exit(64)
  }

  static func run() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.count == 2, arguments[0] == "--write-corpus" { return try writeCorpus(arguments[1]) }
    guard arguments.count > 1, let target = FuzzTarget(rawValue: arguments[0]) else { end(usage) }
    let before = peak()
    for path in arguments.dropFirst() {
      let said: String
      switch try FuzzRunner.judge({ try target.read(file: path) }) {
      case .accepted: said = "accepted"
      case .refused(let failure): said = "refused: \(failure.message)"
      }
      print("\(peak() - before) KiB, \(said)")
    }
  }

  /// The most memory of this process so far, in KiB. (getrusage would count what its parent had.)
  private static func peak() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
  }

  private static func writeCorpus(_ folder: String) throws {
    for target in FuzzTarget.allCases {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(target)", withIntermediateDirectories: true)
      for (name, bytes) in try FuzzSeeds.files(for: target) {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(target)/\(name)"))
      }
    }
  }

  /// As libFuzzer's `-dict` has them.
  static func writeWords(_ target: FuzzTarget, _ path: String) throws {
    let lines = target.words.map { word in
      "\"" + word.map { "\\x" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\"\n"
    }
    try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: path))
  }
}
