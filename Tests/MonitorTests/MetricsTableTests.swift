import Foundation
import Monitor
import Storage
import Tensors
import TestSupport
import Testing

@Suite struct MetricsTableTests {
  private func csv(_ text: String, _ kind: MetricsTable.Kind, every: Int = 1) throws -> String {
    let folder = try TemporaryFolder()
    var written = ""
    try MetricsTable(folder.file("metrics.jsonl", text), kind).csv(every: every) { written += $0 }
    return written
  }

  private let run = """
    {"step": 1, "loss": 2.5, "skipped": 0}
    {"step": 2, "loss": null, "skipped": 1}
    {"step": 2, "mAP": 0.5, "B, \\"2\\".mAP": 0.25}
    {"step": 3, "loss": 1.25, "skipped": 1, "msgr": 1e-05}
    {"step": 3, "lo
    """

  @Test func stepsAndEvaluationsAreTablesOfTheirOwn() throws {
    #expect(try csv(run, .steps) == "step,loss,skipped,msgr\r\n1,2.5,0,\r\n2,,1,\r\n3,1.25,1,1e-05\r\n")
    #expect(try csv(run, .evaluations) == "step,mAP,\"B, \"\"2\"\".mAP\"\r\n2,0.5,0.25\r\n")
    #expect(try csv("", .steps).isEmpty)
  }

  @Test func theLastStepIsAlwaysThere() throws {
    #expect(try csv(run, .steps, every: 2) == "step,loss,skipped,msgr\r\n2,,1,\r\n3,1.25,1,1e-05\r\n")
  }

  @Test func aLineThatIsNoObjectIsNamed() throws {
    #expect(
      try #require(throws: Failure.self) { try csv("{\"step\": 1, \"loss\": 1}\n\n[]\n", .steps) }.message
        .hasSuffix("metrics.jsonl:3: has [ where { was expected"))
    #expect(
      try #require(throws: Failure.self) { try csv("{\"loss\": 1}\n", .steps) }.message
        .hasSuffix("metrics.jsonl:1: has no step"))
    let long = String(repeating: " ", count: Lines.longest + 300_000)
    #expect(try #require(throws: Failure.self) { try csv(long, .steps) }.message.contains("a line of more than"))
  }

  /// Pieces of a file that is longer than what is read at once.
  @Test func linesOfALongFile() throws {
    let folder = try TemporaryFolder(), count = 40_000
    let text = (1...count).map { "{\"step\": \($0), \"loss\": \($0).5}\n" }.joined()
    let file = try InputFile(folder.file("metrics.jsonl", text))
    var sum = 0
    #expect(try Lines.read(file) { sum += try MetricsLine($0).count("step") ?? 0 } == text.utf8.count)
    #expect(sum == count * (count + 1) / 2)
    var rest = 0
    try Lines.read(file, from: text.utf8.count - 66) { _ in rest += 1 }
    #expect(rest == 2)
  }

  @Test func aCurveHasTheMeansOfNeighbours() {
    var curve = Curve()
    #expect(curve.sampled(10).isEmpty && curve.steps == nil)
    curve.add(.nan, step: 1)
    curve.add(3, step: 5)
    #expect(curve.sampled(3) == [3, 3, 3] && curve.steps == 5...5)
    curve.add(5, step: 9)
    #expect(curve.sampled(5) == [3, 3.5, 4, 4.5, 5])
    // Its means stay where they are while its bins grow wider.
    var long = Curve()
    for step in stride(from: 0, to: 1 << 20, by: 7) { long.add(Double(step), step: step) }
    let values = long.sampled(5)
    for (value, expected) in zip(values, [0.8, 2.4, 4, 5.6, 7.2]) {
      #expect(abs(value / Double(1 << 17) - expected) < 0.01, "\(values)")
    }
    long.add(0, step: 1 << 52)
    #expect(long.sampled(2).count == 2 && long.steps == 0...1 << 52)
  }
}
