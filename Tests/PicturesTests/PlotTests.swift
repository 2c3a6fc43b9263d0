import Foundation
import Pictures
import Testing

@Suite struct PlotTests {
  @Test func ticksAreRoundAndHoldTheRange() {
    for (range, count, expected) in [
      (0.0...1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.13...0.87, 4, [0, 0.2, 0.4, 0.6, 0.8, 1]),
      (-3...12, 3, [-5, 0, 5, 10, 15]), (0...73_000, 4, [0, 20_000, 40_000, 60_000, 80_000]), (2...2, 2, [2, 3]),
    ] as [(ClosedRange<Double>, Int, [Double])] {
      let ticks = Ticks(range, count: count)
      #expect(
        zip(ticks.values, expected).allSatisfy { abs($0 - $1) < 1e-9 } && ticks.values.count == expected.count,
        "\(range): \(ticks.values)")
    }
    #expect(Ticks(within: 0...97, count: 5).values == [0, 20, 40, 60, 80])
    #expect(
      Ticks(0...73_000, count: 4).values.map { Ticks(0...73_000, count: 4).label($0) } == [
        "0", "20 k", "40 k", "60 k", "80 k",
      ])
    let shares = Ticks(0...1, count: 5)
    #expect(shares.label(0.2, percent: true) == "20 %" && shares.label(0.2) == "0.2")
    let rates = Ticks(logarithmic: 3.5e-7...3.5e-4)
    #expect(rates.values.first! <= 3.5e-7 && rates.values.last! >= 3.5e-4 && rates.values.count <= 8)
    #expect(rates.label(1e-5) == "1e-5")
    let near = Ticks(logarithmic: 2...7)
    #expect(near.values == [2, 5, 10])
  }

  private func line(_ values: [Double], _ name: String = "a", look: Int = 0) -> Plot.Series {
    Plot.Series(name, values.enumerated().map { Point(Double($0), $1) }, look: look)
  }

  @Test func valuesStandWhereTheAxesSay() throws {
    var plot = Plot("mAP", xLabel: "epoch", [line([0, 0.5, 1])])
    plot.isPercent = true
    let drawing = plot.drawing(width: 500, height: 300)
    let curves = drawing.marks.compactMap { mark -> [Point]? in
      if case .line(let points, let stroke) = mark, case .series = stroke.ink { points } else { nil }
    }
    let curve = try #require(curves.first)
    #expect(curves.count == 1 && curve.count == 3)
    #expect(
      abs(curve[1].x - (curve[0].x + curve[2].x) / 2) < 1e-9 && abs(curve[1].y - (curve[0].y + curve[2].y) / 2) < 1e-9)
    let labels = drawing.marks.compactMap { mark -> (String, Point)? in
      if case .text(let text, let place, _) = mark { (text, place) } else { nil }
    }
    // A label is on the height of its value, four pixels lower for its own height.
    #expect(try abs(#require(labels.first { $0.0 == "100 %" }).1.y - 4 - curve[2].y) < 1e-9)
    #expect(try abs(#require(labels.first { $0.0 == "0 %" }).1.y - 4 - curve[0].y) < 1e-9)
    #expect(plot.summary.contains("from 0.0 % at 0 to 100.0 % at 2"))
    #expect(SVGElements(try drawing.svg()) != nil)
  }

  @Test func whatIsNotFiniteInterruptsTheLine() {
    let plot = Plot("loss", xLabel: "step", [line([3, 2, .nan, 1, .infinity, 0.5, 0.4])])
    let marks = plot.drawing().marks
    let lines = marks.count { mark in
      if case .line(_, let stroke) = mark, case .series = stroke.ink { true } else { false }
    }
    let dots = marks.count { if case .disc = $0 { true } else { false } }
    // 3–2 and 0.5–0.4; each of the five values is a dot.
    #expect(lines == 2 && dots == 5)
    let empty = Plot("loss", xLabel: "step", [line([.nan])]).drawing().marks
    #expect(empty.contains { if case .text("no values", _, _) = $0 { true } else { false } })
  }

  @Test func aLogarithmLeavesOutWhatItDoesNotKnow() throws {
    var plot = Plot("rate", xLabel: "step", [line([1e-3, 0, 1e-4, 1e-5])])
    plot.yScale = .logarithmic
    let points = plot.drawing().marks.compactMap { mark -> Point? in
      if case .disc(let p, _, _) = mark { p } else { nil }
    }
    #expect(points.count == 3)
    // A tenth is as far as another tenth.
    #expect(abs((points[1].y - points[0].y) - (points[2].y - points[1].y)) < 1e-6)
  }

  /// Also where there is no line between points that could be dashed.
  @Test func singlePointsDifferByMoreThanColour() {
    let marks = Plot("mAP", xLabel: "step", (0..<3).map { line([0.5], look: $0) }).drawing(hasLegend: false).marks
    let strokes = marks.compactMap { mark -> Stroke? in
      if case .line(_, let stroke) = mark, case .series = stroke.ink { stroke } else { nil }
    }
    #expect(strokes.count == 3 && Set(strokes.map(\.dash)).count == 3)
  }

  @Test func seriesDifferByMoreThanColour() {
    let strokes = (0..<Ink.seriesCount).map { line([1], look: $0).stroke }
    #expect(Set(strokes.map(\.dash)).count == Ink.seriesCount)
    let legend = Legend((0..<9).map { line([1], "a run of a long name \($0)", look: $0) }).drawing(width: 400)
    #expect(legend.height > 60)
    for case .text(let text, let place, let style) in legend.marks {
      #expect(place.x + TextWidth.of(text, size: style.size) <= 400)
    }
  }
}
