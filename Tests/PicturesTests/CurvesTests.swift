import Foundation
import Pictures
import Tensors
import TestSupport
import Testing

@Suite struct CurvesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A run of 4 steps an epoch, evaluated after each.
  private func run(_ name: String, steps: Int, loss: (Int) -> Double, mAP: (Int) -> Double, tail: String = "") throws
    -> RunHistory
  {
    let path = try folder.file(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    var text = "{\"step\": 0, \"epoch\": 0, \"mAP\": 0.01, \"rank1\": 0.02, \"B.mAP\": 0.5, \"B.rank1\": 0.6}\n"
    for step in 1...steps {
      let value = loss(step)
      text +=
        "{\"step\": \(step), \"epoch\": \((step + 3) / 4), \"loss\": \(value.isFinite ? "\(value)" : "null"), \"learningRate\": 1e-3, "
        + "\"imagesPerSecond\": 10, \"note\": \"x\"}\n"
      if step % 4 == 0 {
        text +=
          "{\"step\": \(step), \"epoch\": \(step / 4), \"mAP\": \(mAP(step)), \"rank1\": 0.5, \"B.mAP\": 0.4, \"B.rank1\": 0.3}\n"
      }
    }
    try (text + tail).write(toFile: "\(path)/metrics.jsonl", atomically: false, encoding: .utf8)
    return try RunHistory(run: path)
  }

  @Test func stepsAndEvaluationsAreToldApart() throws {
    let history = try run(
      "a", steps: 12, loss: { $0 == 3 ? .nan : 1 / Double($0) }, mAP: { Double($0) / 20 }, tail: "{\"step\": 13, \"lo")
    #expect(history.steps.steps == Array(1...12) && history.evaluations.steps == [0, 4, 8, 12])
    #expect(history.testSets == ["", "B"])
    #expect(history.series("loss", over: .step).map(\.x) == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    #expect(history.series("mAP", over: .step) == [Point(0, 0.01), Point(4, 0.2), Point(8, 0.4), Point(12, 0.6)])
    #expect(history.series("B.mAP", over: .epoch).map(\.x) == [0, 1, 2, 3])
    #expect(history.series("learningRate", over: .epoch).prefix(5).map(\.x) == [0.25, 0.5, 0.75, 1, 1.25])
    #expect(history.series("msgr", over: .step).isEmpty)
  }

  @Test func anEpochUnderWayIsAsLongAsTheOneBefore() throws {
    let history = try run("a", steps: 10, loss: { _ in 1 }, mAP: { _ in 0 })
    #expect(history.series("loss", over: .epoch).suffix(2).map(\.x) == [2.25, 2.5])
  }

  @Test func whatIsNoRunIsNamed() throws {
    #expect(message(.data) { _ = try RunHistory(run: "\(folder.path)/none") }?.hasSuffix("none: no such run") == true)
    #expect(message(.data) { _ = try RunHistory(run: folder.path) }?.contains("no metrics.jsonl") == true)
    _ = try folder.file("metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"loss\": 1}\n")
    #expect(message(.data) { _ = try RunHistory(run: folder.path) }?.contains("metrics.jsonl:2") == true)
    _ = try folder.file("metrics.jsonl", "{\"step\": 1, \"lo")
    #expect(message(.data) { _ = try RunHistory(run: folder.path) }?.contains("no step in it yet") == true)
    let file = try folder.file("file", "x")
    #expect(message(.data) { _ = try RunHistory(run: file) }?.contains("is no folder of a run") == true)
  }

  @Test func seedsAreAMeanAndItsDeviation() throws {
    let runs = try [1.0, 2, 6].map { offset in
      try run("s\(Int(offset))", steps: 8, loss: { Double($0) + offset }, mAP: { Double($0) / 100 + offset / 100 })
    }
    let curves = RunCurves([RunGroup("three", runs), RunGroup("one", [runs[0]])], over: .step)
    let loss = curves.plot("Loss", "loss", isNoisy: true).series
    #expect(loss.map(\.name) == ["three (3 seeds)", "one"])
    // 1, 2, 6: mean 3, deviation √7.
    #expect(zip(loss[0].points, 1...8).allSatisfy { $0.x == Double($1) && abs($0.y - Double($1) - 3) < 1e-12 })
    #expect(loss[0].band.count == 8 && loss[1].band.isEmpty)
    for (band, point) in zip(loss[0].band, loss[0].points) {
      #expect(
        abs(band.upperBound - point.y - 7.0.squareRoot()) < 1e-12
          && abs(band.lowerBound - point.y + 7.0.squareRoot()) < 1e-12)
    }
    #expect(curves.plots.map(\.title) == ["Loss", "Learning rate", "mAP", "Rank-1", "mAP of B", "Rank-1 of B"])
    #expect(curves.remark.contains("deviation over seeds"))
    let svg = try #require(SVGElements(try curves.drawing(title: "<runs>").svg()))
    #expect(
      svg.named("text").contains { $0.text == "<runs>" } && svg.named("text").contains { $0.text == "three (3 seeds)" })
    #expect(svg.named("polygon").count == 6, "a band each")
  }

  @Test func seedsThatWentOnDifferentlyFarMeetWhereAllAre() throws {
    let long = try run("long", steps: 12, loss: { _ in 1 }, mAP: { _ in 0.5 }),
      short = try run("short", steps: 6, loss: { _ in 3 }, mAP: { _ in 0.3 })
    let series = RunCurves([RunGroup("both", [long, short])], over: .step).plot("Loss", "loss").series[0]
    #expect(series.points == (1...6).map { Point(Double($0), 2) })
  }

  @Test func manyStepsBecomeMeans() throws {
    let history = try run("a", steps: 1000, loss: { $0 % 2 == 0 ? 1 : 3 }, mAP: { _ in 0.5 })
    for axis in RunHistory.Axis.allCases {
      let curves = RunCurves([RunGroup("a", [history])], over: axis),
        points = curves.plot("Loss", "loss", isNoisy: true).series[0].points
      #expect(points.count == 200, "\(axis): \(points.count)")
      // Five steps each, of 3 and 1 in turn.
      #expect(points.allSatisfy { abs($0.y - 2.2) < 1e-9 || abs($0.y - 1.8) < 1e-9 }, "\(axis)")
      #expect(curves.remark.contains("means of the steps"))
    }
  }
}
