import Foundation
import Fuzzing
import Tensors
import Testing

/// A few thousand inputs a target, the same in every run; launch/fuzz makes millions.
@Suite struct ShortFuzzTests {
  /// A trap in a reader ends the test run, with the target's name in the line before.
  @Test(arguments: FuzzTarget.allCases) func readersRefuseOrAccept(_ target: FuzzTarget) throws {
    let runner = try FuzzRunner(target), corpus = try Corpus.files(target)
    var accepted = 0, refused = 0
    func read(_ name: String, _ bytes: [UInt8]) {
      let begin = ContinuousClock.now
      do {
        if case .accepted = try runner.run(bytes) { accepted += 1 } else { refused += 1 }
      } catch {
        Issue.record("\(target), \(name): \(error): \(Data(bytes).base64EncodedString())")
      }
      #expect(begin.duration(to: .now) < .seconds(5), "\(target), \(name): \(Data(bytes).base64EncodedString())")
    }
    for (name, bytes) in corpus { read(name, bytes) }
    var mutations = FuzzMutations(target, corpus: corpus.map(\.bytes), seed: 1)
    for number in 0..<inputs(target) { read("mutation \(number)", mutations.next()) }
    // Readers that refuse everything, or nothing, would not have been tested.
    #expect(accepted > 10 && refused > 100, "\(target): \(accepted) accepted, \(refused) refused")
  }

  private func inputs(_ target: FuzzTarget) -> Int {
    switch target {
    case .configuration, .setting, .jpeg: 500
    case .manifest: 8000  // few mutations leave the sums right
    default: 2000
    }
  }

  @Test(arguments: FuzzTarget.allCases) func everySeedIsAccepted(_ target: FuzzTarget) throws {
    let runner = try FuzzRunner(target), corpus = try Corpus.files(target)
    for (name, bytes) in try FuzzSeeds.files(for: target) {
      #expect(corpus.contains { $0.name == name }, "\(target)/\(name) is not in the corpus")
      if case .refused(let failure) = try runner.run(bytes) { Issue.record("\(target), \(name): \(failure)") }
    }
  }

  // MARK: - What a finding is

  private struct OtherError: Error {}

  @Test func whatIsNoFailureIsAFinding() throws {
    #expect(throws: FuzzFinding.self) { try FuzzRunner.judge { throw OtherError() } }
    #expect(throws: FuzzFinding.self) { try FuzzRunner.judge { throw CocoaError(.fileReadUnknown) } }
    #expect(throws: FuzzFinding.self) { try FuzzRunner.judge { throw Failure.internal("a broken invariant") } }
    #expect(throws: FuzzFinding.self) { try FuzzRunner.judge { throw Failure.data("") } }
    guard case .accepted = try FuzzRunner.judge({}) else { return #expect(Bool(false)) }
    guard case .refused = try FuzzRunner.judge({ throw Failure.data("x") }) else { return #expect(Bool(false)) }
  }

  /// Readers with a mistake in one rare case each.
  @Test func plantedMistakesAreFound() throws {
    func isFound(_ target: FuzzTarget, _ mistake: ([UInt8]) -> Bool) throws -> Bool {
      var mutations = FuzzMutations(target, corpus: try Corpus.files(target).map(\.bytes), seed: 1)
      for _ in 0..<2000 {
        let bytes = mutations.next()
        do { _ = try FuzzRunner.judge { if mistake(bytes) { throw OtherError() } } } catch { return true }
      }
      return false
    }
    func contains(_ text: String) -> ([UInt8]) -> Bool {
      { bytes in String(decoding: bytes, as: UTF8.self).contains(text) }
    }
    #expect(try isFound(.npy, contains("True")))
    #expect(try isFound(.safetensors, contains("9223372036854775807")))
    #expect(try isFound(.csv, contains(",,,")))
    #expect(try isFound(.state, contains("\"step\":-1")))
    #expect(try isFound(.jpeg) { $0.count < 400 && $0.starts(with: [0xff, 0xd8]) })
    #expect(try !isFound(.jpeg) { _ in false })
  }
}

/// The files under Tests/FuzzingTests/Corpus: seeds, and inputs that made a finding once.
enum Corpus {
  static func files(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus/\(target)")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
      (name, Array(try Data(contentsOf: folder.appendingPathComponent(name))))
    }
  }
}
