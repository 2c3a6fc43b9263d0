import Evaluation
import Foundation
import LineupC
import LineupKit
import Testing

extension UntimedCommandTests {
  /// The library for programs of others: in Swift, behind its C interface, in the example and in Python.
  @Suite struct LibraryTests {
    private let scratch: Scratch, run: String, data: String

    init() throws {
      scratch = try Scratch()
      (run, data) = (scratch("run"), try scratch.dataset())
      try Command.succeed(
        ["train", "--data", data, "--output", run] + Tiny.training
          + Tiny.settings("schedule.maxSteps=2", "model.trunk=resnet18", "model.head=baseline"))
    }

    private var queries: [String] {
      get throws {
        try FileManager.default.contentsOfDirectory(atPath: "\(data)/query").filter { $0.hasSuffix(".jpg") }.sorted()
          .map { "\(data)/query/\($0)" }
      }
    }

    @Test(arguments: [false, true]) func embeddingsAreThoseOfTheCommand(_ flip: Bool) throws {
      let file = scratch("q.npy"), settings = ["evaluation.flip=\(flip)", "evaluation.batch=3"]
      try Command.succeed(
        ["extract", "--checkpoint", run, "--images", "\(data)/query", "--output", file]
          + settings.flatMap { ["--set", $0] })
      let expected = try FeatureFiles.read(file), model = try EmbeddingModel(checkpoint: run, settings: settings)
      let found = try model.embed(files: expected.paths.map { $0.hasPrefix("/") ? $0 : "\(data)/query/\($0)" })
      #expect(found.values == expected.matrix.values && found.length == model.length && model.inputHeight == 64)

      let gallery = try Gallery(found)
      let nearest = try gallery.nearest(4, to: found)
      #expect(nearest.count == found.count && nearest.allSatisfy { $0.count == 4 })
      for (row, matches) in nearest.enumerated() {
        #expect(matches[0].row == row && abs(matches[0].distance) < 1e-6)
        #expect(zip(matches, matches.dropFirst()).allSatisfy { $0.distance <= $1.distance })
      }
    }

    @Test func wrongInputIsALine() throws {
      func line(_ body: () throws -> Void) -> String {
        do {
          try body()
          return "nothing"
        } catch let error as LineupError {
          return error.description
        } catch {
          return "another error"
        }
      }
      #expect(line { _ = try EmbeddingModel(checkpoint: scratch("none")) } == "\(scratch("none")): no such checkpoint")
      #expect(line { _ = try EmbeddingModel(checkpoint: run, settings: ["model.widht=1"]) }.contains("model.widht"))
      #expect(line { _ = try EmbeddingModel(checkpoint: run, settings: ["data.faces.test=blurred"]) }.contains("faces"))
      #expect(line { _ = try Image(width: 2, height: 2, rgb: [1, 2, 3]) }.contains("2×2"))
      #expect(line { _ = try Image(encoded: [1, 2, 3]) }.hasPrefix("image: neither a JPEG nor a PNG file"))
      #expect(line { _ = try Embeddings(count: 1, length: 2, values: [1, .nan]) } == "embedding 0 is not finite")
      let two = try Embeddings(count: 2, length: 2, values: [1, 0, 0, 1])
      let three = try Embeddings(count: 1, length: 3, values: [1, 0, 0])
      #expect(line { _ = try Gallery(two).nearest(1, to: three) }.contains("length 3"))
    }

    @Test func theCInterface() throws {
      var text = [CChar](repeating: 1, count: 64)
      #expect(lineupOpen(scratch("none"), 1, &text, text.count) == nil)
      #expect(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).count == 63)
      let model = try #require(lineupOpen(run, 1, &text, text.count))
      defer { lineupClose(model) }
      let length = Int(lineupEmbeddingLength(model))
      #expect(length > 0 && lineupInputHeight(model) == 64 && lineupInputWidth(model) == 32)
      let bytes = (0..<2 * 5 * 4 * 3).map { UInt8($0) }
      var features = [Float](repeating: .nan, count: 2 * length)
      #expect(lineupEmbed(model, bytes, 2, 5, 4, &features, &text, text.count) == 0)
      #expect(features.allSatisfy(\.isFinite) && features.prefix(length) != features.suffix(length))
      #expect(lineupEmbed(model, bytes, 1, 0, 4, &features, &text, text.count) == 1)
      #expect(lineupEmbed(model, bytes, 1, CInt.max, CInt.max, &features, nil, 0) == 1)
    }

    @Test func theExampleRanks() throws {
      let example = URL(fileURLWithPath: Command.path).deletingLastPathComponent().appendingPathComponent("Rank").path
      let images = try queries
      func rank(_ arguments: [String]) throws -> (code: Int32, lines: [Substring]) {
        let outcome = try Command.launch([example] + arguments)
        return (outcome.code, (outcome.output + outcome.errors).split(separator: "\n"))
      }
      let found = try rank([run, images[0]] + images.prefix(5))
      #expect(found.code == 0 && found.lines.count == 5 && found.lines[0].hasPrefix(images[0]))
      for (arguments, code) in [([run], 64), ([scratch("none"), "a", "b"], 65), ([run, images[0], run], 65)]
        as [([String], Int32)]
      {
        let refused = try rank(arguments)
        #expect(refused.code == code && refused.lines.count == 1, "\(refused.lines)")
      }
    }

    /// Where `launch/test` has built the library.
    @Test(.enabled(if: Python.interpreter != nil && FileManager.default.fileExists(atPath: Python.library)))
    func pythonHasTheSameBits() throws {
      let (code, output) = try Python.run(
        "check_library.py", ["--lineup", Command.path, "--checkpoint", run, "--images", "\(data)/query"])
      #expect(code == 0 && output.contains("array: "), "\(output)")
    }
  }
}
