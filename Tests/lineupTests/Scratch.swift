import Dataset
import Foundation
import Storage
import Testing
import Training

/// A temporary folder that goes away with the test, and the small things that tests do in it.
final class Scratch {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "lineup-command-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  func handle(_ name: String) throws -> FileHandle {
    try Data().write(to: URL(fileURLWithPath: self(name)))
    return try #require(FileHandle(forWritingAtPath: self(name)))
  }

  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: self(name))), as: UTF8.self)
  }

  /// A data set of generated people; the first half of the identities is for training.
  func dataset(_ name: String = "data", identities: Int = 16, images: Int = 2, cameras: Int = 2) throws -> String {
    _ = try Synthesizer(identities: identities, images: images, cameras: cameras, seed: 7).write(to: self(name))
    return self(name)
  }

  /// A list of the first `count` training images, so that each identity has `each` of them.
  func list(_ data: String, count: Int, each: Int = 2) throws -> String {
    var seen: [Int: Int] = [:]
    let samples = try ReIDDataset.open(at: data).train.filter { sample in
      seen[sample.identity, default: 0] += 1
      return seen[sample.identity]! <= each
    }
    try ImageList.write(Array(samples.prefix(count)), to: self("list.csv"))
    return self("list.csv")
  }

  /// Cuts an image off in the middle of its pixels.
  func damage(_ image: String) throws {
    let bytes = try Data(contentsOf: URL(fileURLWithPath: image))
    try bytes.prefix(bytes.count / 3).write(to: URL(fileURLWithPath: image))
  }
}

enum Tiny {
  /// A network and images so small that a step takes milliseconds. Four identities of two images are a batch. The first
  /// step counts: of a run of four, the default loss scale would have all skipped.
  static let network = settings(
    "model.width=0.0625", "model.embedding=32", "input.height=64", "input.width=32", "threads=1")
  static let training =
    network + settings("sampling.identities=4", "sampling.images=2", "evaluation.everyEpochs=0", "lossScale.initial=64")

  static func settings(_ values: String...) -> [String] { values.flatMap { ["--set", $0] } }
}

/// A run's folder as a reader of it sees it.
struct RunFiles {
  let path: String

  func bytes(_ name: String) -> Data? { FileManager.default.contents(atPath: "\(path)/\(name)") }

  /// The objects of `metrics.jsonl`; a line that is no object fails the test.
  func metrics() throws -> [[String: Double]] {
    let lines = String(decoding: try #require(bytes("metrics.jsonl")), as: UTF8.self)
    #expect(lines.hasSuffix("\n"))
    return try lines.split(separator: "\n").map { line in
      try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))
    }
  }

  /// Lines of training steps so far, while a run may be writing them.
  var steps: Int { (bytes("metrics.jsonl") ?? Data()).count { $0 == UInt8(ascii: "\n") } }

  var latest: String? {
    bytes("checkpoints/latest").map { String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .newlines) }
  }

  var log: String { bytes("log.txt").map { String(decoding: $0, as: UTF8.self) } ?? "" }

  func checkpoint(_ step: Int) -> String { "\(path)/checkpoints/\(Self.name(step))" }

  static func name(_ step: Int) -> String {
    "step-" + String(repeating: "0", count: 8 - String(step).count) + String(step)
  }
}

extension RunFiles {
  /// The same bytes in the last checkpoint, and every step once with the same numbers.
  func expectSameEnd(as other: RunFiles, steps: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try expectSameCheckpoint(as: other, step: steps, sourceLocation: sourceLocation)
    let untimed = { (line: [String: Double]) in
      line.filter {
        !["seconds", "imagesPerSecond", "secondsWaitedForImages"].contains($0.key) && !$0.key.hasSuffix("Share")
      }
    }
    let lines = try metrics()
    #expect(lines.trainingSteps == Array(1...steps), sourceLocation: sourceLocation)
    #expect(lines.map(untimed) == (try other.metrics().map(untimed)), sourceLocation: sourceLocation)
  }

  /// The latest checkpoint of both is that of `step`, with the same bytes.
  func expectSameCheckpoint(as other: RunFiles, step: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(latest == RunFiles.name(step) && other.latest == latest, sourceLocation: sourceLocation)
    let names = try FileManager.default.contentsOfDirectory(atPath: other.checkpoint(step)).sorted()
    #expect(names.count == 5, sourceLocation: sourceLocation)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: checkpoint(step)).sorted() == names,
      sourceLocation: sourceLocation)
    for name in names {
      let path = "checkpoints/\(RunFiles.name(step))/\(name)"
      #expect(bytes(path) != nil && bytes(path) == other.bytes(path), "\(name) differs", sourceLocation: sourceLocation)
    }
  }
}

extension [[String: Double]] {
  /// The whole numbers under a key, of the lines that have it.
  func integers(_ key: String) -> [Int] { compactMap { $0[key] }.map { Int($0) } }

  /// The steps of the training lines.
  var trainingSteps: [Int] { filter { $0["loss"] != nil }.integers("step") }
}

/// Tensors of safetensors files, compared.
struct TensorFile {
  let values: [String: [Double]]

  /// The tensors at `path` whose names start with `prefix` and do not contain `without`.
  init(_ path: String, prefix: String = "", without: String? = nil) throws {
    let file = try SafetensorsFile(path: path)
    let names = file.names.filter { $0.hasPrefix(prefix) && (without == nil || !$0.contains(without!)) }
    values = try Dictionary(uniqueKeysWithValues: names.map { ($0, try file.values($0, as: Double.self)) })
  }

  /// ‖self − other‖ / ‖other‖ over the tensors that `names` chooses (all).
  func distance(from other: TensorFile, where isChosen: (String) -> Bool = { _ in true }) -> Double {
    guard values.keys.sorted() == other.values.keys.sorted() else { return .infinity }
    var difference = 0.0, norm = 0.0
    for (name, mine) in values where isChosen(name) {
      guard let theirs = other.values[name], theirs.count == mine.count else { return .infinity }
      for (a, b) in zip(mine, theirs) {
        difference += (a - b) * (a - b)
        norm += b * b
      }
    }
    return norm > 0 ? (difference / norm).squareRoot() : (difference == 0 ? 0 : .infinity)
  }

  var isFinite: Bool { values.values.allSatisfy { $0.allSatisfy(\.isFinite) } }
}
