import Foundation
import Pictures
import Report
import Testing

/// A page needs nothing but itself, and nothing that runs have in their names becomes markup.
@Suite struct ReportPageTests {
  private func run(_ folder: String, _ lines: [String]) throws -> RunHistory {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try (lines.joined(separator: "\n") + "\n").write(
      toFile: "\(folder)/metrics.jsonl", atomically: true, encoding: .utf8)
    return try RunHistory(run: folder)
  }

  private func histories(_ count: Int, _ body: ([RunHistory]) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "lineup-report-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(
      (0..<count).map { index in
        let steps = (1...20).map {
          #"{"step":\#($0),"epoch":1,"loss":\#(5.0 / Double($0)),"crossEntropy":2,"learningRate":0.001,"imagesPerSecond":100,"seconds":0.5,"convolutionShare":0.75,"msgr":\#($0)}"#
        }
        let evaluation = #"{"step":20,"epoch":1,"mAP":0.\#(5 + index),"rank1":0.25,"B.mAP":0.125,"seconds":10}"#
        return try run("\(folder)/a\(index)", steps + [evaluation])
      })
  }

  @Test func spreadsOverSeeds() throws {
    #expect(Spread([]) == nil)
    #expect(RunTables.percent([0.719]) == "71.9" && RunTables.percent([]) == "–")
    // Mean 0.6, deviations −0.1, 0, 0.1: √(0.02/2).
    #expect(RunTables.percent([0.5, 0.6, 0.7]) == "60.0 ± 10.0")
    try histories(3) { runs in
      let tables = RunTables([RunGroup("seeds", runs)])
      #expect(tables.summary.contains("<td>60.0 ± 10.0</td>") && tables.summary.contains("<td>25.0 ± 0.0</td>"))
      #expect(tables.metrics.contains("B: mAP") && tables.metrics.contains("12.5 ± 0.0"))
      #expect(tables.shares.contains("75.0 %") && tables.shares.contains("25.0 %"))
      // 20 steps of half a second, and the evaluation's ten.
      #expect(tables.summary.contains("<td>20 s</td>"))
    }
  }

  @Test func plotsAreThoseThatThereIsSomethingFor() throws {
    try histories(1) { runs in
      let curves = RunCurves([RunGroup("one", runs)], over: .step)
      #expect(ReportPlots.terms(curves).map(\.title) == ["Cross entropy"])
      #expect(ReportPlots.regularizers(curves).map(\.title) == ["R of the gradient regularizer"])
      #expect(try ReportPlots.grid([]) == "")
      let drawn = try ReportPlots.grid(curves.plots)
      #expect(drawn.components(separatedBy: "<svg").count - 1 == curves.plots.count)
    }
  }

  @Test func namesAreNotMarkup() throws {
    let hostile = "<script>alert('&\"')</script>"
    let page = ReportPage(
      hostile, introduction: HTML.paragraph(hostile),
      [
        ReportPage.Section(
          "a", hostile,
          HTML.table(hostile, header: [hostile], rows: [(name: hostile, cells: [Markup.escaped(hostile)])]))
      ], footer: hostile
    ).text
    #expect(!page.contains("<script") && page.components(separatedBy: "&lt;script&gt;").count > 8)
    #expect(
      !page.contains("href=\"http") && !page.contains("src=\"http")
        && page.contains("default-src &#39;none&#39;") == false)
    #expect(page.contains("default-src 'none'; img-src data:; style-src 'unsafe-inline'"))
  }
}
