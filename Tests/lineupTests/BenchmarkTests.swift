import Foundation
import Testing
import Training

extension CommandTests {
  @Suite(.serialized) struct BenchmarkTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private let tiny =
      ["benchmark", "--repetitions", "1"] + Tiny.network
      + Tiny.settings("sampling.identities=2", "sampling.images=2")

    /// The table has a line for each convolution, and the file has the same numbers under the documented keys.
    @Test func tableAndFile() throws {
      let outcome = try Command.succeed(tiny + ["--json", scratch("kernels.json")])
      let data = try Data(contentsOf: URL(fileURLWithPath: scratch("kernels.json")))
      let report = try JSONDecoder().decode(KernelReport.self, from: data)
      #expect(
        report.cores == 1 && report.images == 4 && report.storage == "float16"
          && report.multiply == "exact")
      #expect(report.convolutions.reduce(0) { $0 + $1.count } == 78)
      for convolution in report.convolutions {
        #expect(outcome.output.contains("\n\(convolution.shape) "), "\(convolution.shape)")
      }
      let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
      #expect(
        Set(object.keys) == [
          "peaks", "cores", "path", "multiply", "storage", "images", "convolutions", "total",
        ])
      let peaks = try #require(object["peaks"] as? [String: Any])
      #expect(Set(peaks.keys) == ["float32", "bfloat16", "copy"])
      #expect(outcome.output.contains("all passes: "))
    }

    @Test func wrongOptions() throws {
      let cases: [(arguments: [String], ranks: Int?, word: String)] = [
        (["--bogus"], nil, "--bogus"), (["--repetitions", "0"], nil, "--repetitions"),
        (Tiny.settings("model.width=two"), nil, "model.width"),
        (Tiny.settings("precision.storage=float64"), nil, "precision.storage"), ([], 2, "mpirun"),
      ]
      for (arguments, ranks, word) in cases {
        let outcome = try Command.run(tiny + arguments, ranks: ranks)
        #expect(
          outcome.code == 64 && outcome.complaints.count == 1,
          "\(arguments): \(outcome.code) \(outcome.errors)")
        #expect(outcome.complaints.first?.contains(word) == true, "\(outcome.complaints)")
      }
    }
  }
}
