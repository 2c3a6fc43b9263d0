import Dataset
import Foundation
import Pictures
import Testing

@Suite struct DrawingTests {
  private func flat(_ red: UInt8, _ green: UInt8, _ blue: UInt8, width: Int = 8, height: Int = 16) -> RGBImage {
    RGBImage(width: width, height: height, pixels: (0..<width * height).flatMap { _ in [red, green, blue] })
  }

  /// Every kind of mark.
  private var sample: Drawing {
    Drawing(
      width: 120, height: 100, title: "a < b & \"c\"", description: "bell \u{7} and\nline",
      marks: [
        .box(Box(0, 0, 20, 20), fill: .right, stroke: Stroke(.wrong, width: 2, dash: [4, 2]), radius: 3),
        .line([Point(30, 10), Point(60, 10)], Stroke(.series(0), width: 4)),
        .area([Point(70, 0), Point(90, 0), Point(90, 20), Point(70, 20)], .series(1), opacity: 1),
        .disc(Point(105, 10), radius: 8, .fixed(Colour(10, 20, 30))),
        .text("<tspan>&amp;", Point(10, 40), TextStyle(12)),
        .picture(Picture(flat(200, 100, 50), label: "a \"person\"", isPhotograph: false), Box(20, 50, 16, 32)),
        .picture(Picture(flat(200, 100, 50), label: "the same"), Box(60, 50, 16, 32)),
      ])
  }

  @Test func svgIsXMLWithWordsForThoseWhoDoNotSee() throws {
    let svg = try #require(SVGElements(try sample.svg()))
    let root = svg.all[0]
    #expect(root.name == "svg" && root.attributes["role"] == "img" && root.attributes["viewBox"] == "0 0 120 100")
    #expect(svg.named("title").first?.text == "a < b & \"c\"" && svg.named("desc").first?.text == "bell  and line")
    #expect(svg.named("text").map(\.text) == ["<tspan>&amp;"])
    let pictures = svg.named("image")
    #expect(pictures.map { $0.attributes["aria-label"] } == ["a \"person\"", "the same"])
    for (picture, type) in zip(pictures, ["png", "jpeg"]) {
      let link = try #require(picture.attributes["href"]), start = "data:image/\(type);base64,"
      #expect(link.hasPrefix(start))
      let bytes = try #require(Data(base64Encoded: String(link.dropFirst(start.count))))
      let image = try ImageCodec.decode(bytes: Array(bytes), path: "picture")
      #expect(image.width == 8 && image.height == 16)
      #expect(abs(Int(image.pixels[0]) - 200) < 6 && abs(Int(image.pixels[2]) - 50) < 6)
    }
    let style = try #require(svg.named("style").first?.text)
    #expect(style.contains("prefers-color-scheme:dark") && !style.contains("undefined"))
    // Every class that is used has a colour.
    for element in svg.all {
      for name in element.attributes["class"]?.split(separator: " ") ?? [] where name != "lineup-drawing" {
        #expect(style.contains(".\(name){"), "\(name)")
      }
    }
    let inline = try sample.svg(isStandalone: false)
    #expect(inline.hasPrefix("<svg") && SVGElements(inline)?.named("style").isEmpty == true)
  }

  @Test(arguments: [1.0, 2]) func pngHasThePixels(scale: Double) throws {
    let image = try ImageCodec.decode(bytes: try Canvas(sample, scale: scale).png(), path: "png")
    #expect(image.width == Int(120 * scale) && image.height == Int(100 * scale))
    func pixel(_ x: Double, _ y: Double) -> Colour {
      let first = 3 * (Int(y * scale) * image.width + Int(x * scale))
      return Colour(image.pixels[first], image.pixels[first + 1], image.pixels[first + 2])
    }
    #expect(pixel(10, 10) == Ink.right.colour() && pixel(45, 10) == Ink.series(0).colour())
    #expect(pixel(80, 10) == Ink.series(1).colour() && pixel(105, 10) == Colour(10, 20, 30))
    #expect(pixel(28, 66) == Colour(200, 100, 50) && pixel(68, 66) == Colour(200, 100, 50))
    #expect(pixel(110, 90) == Ink.paper.colour())
    // Something is written.
    let line = (0..<Int(60 * scale)).map { pixel(10 + Double($0) / scale, 36) }
    #expect(line.contains { $0 != Ink.paper.colour() })
  }

  @Test func largeDrawingsHaveFewerPixels() throws {
    let long = Drawing(width: 100, height: 100_000, title: "", description: "")
    let image = try ImageCodec.decode(bytes: try Canvas(long).png(), path: "png")
    #expect(image.height <= 32_000 && image.height > 31_000 && image.width == 32)
  }

  @Test func formatsGoByTheName() throws {
    #expect(try DrawingFormat(of: "a/b.PNG", "--output") == .png)
    #expect(try DrawingFormat(of: "b.x.svg", "--output") == .svg)
    for path in ["", "png", ".png", "a.jpg", "a.png/b", "a.svg.gz"] {
      #expect(throws: (any Error).self, "\(path)") { try DrawingFormat(of: path, "--output") }
    }
  }

  @Test func frameMarksDiffer() {
    let kinds = [Frame.right, .wrong, .query, .plain]
    let badges = kinds.map { $0.badge(at: Point(0, 0), radius: 8).count }
    #expect(badges == [2, 3, 0, 0])
  }

  @Test func heatMapsGoFromLeastToMost() {
    let map = HeatMap(rows: 2, columns: 1, [-3, 5]).image(width: 1, height: 4)
    func colour(_ row: Int) -> Colour {
      Colour(map.pixels[3 * row], map.pixels[3 * row + 1], map.pixels[3 * row + 2])
    }
    #expect(colour(0) == Colour(0x440154) && colour(3) == Colour(0xfde725))
    #expect(colour(1) == Viridis.colour(0.25) && colour(2) == Viridis.colour(0.75))
    let even = HeatMap(rows: 1, columns: 2, [2, 2]).image(width: 2, height: 1)
    #expect(Array(even.pixels.prefix(3)) == [0x44, 0x01, 0x54])
    // On a photograph of gray 100 it is a veil.
    let veiled = HeatMap(rows: 1, columns: 2, [2, 2]).image(
      width: 2, height: 1, over: RGBImage(width: 2, height: 1, pixels: [UInt8](repeating: 100, count: 6)))
    #expect(veiled.pixels[0] == UInt8((0.6 * 0x44 + 40).rounded()))
  }

  @Test func longTextsLoseTheirMiddle() {
    let short = TextWidth.fitted("0002_c1s1_000451_03_a_long_name.jpg", width: 100, size: 10)
    #expect(short.hasPrefix("0002") && short.hasSuffix("jpg") && short.contains("…"))
    #expect(TextWidth.of(short, size: 10) <= 100 && TextWidth.fitted("abc", width: 100, size: 10) == "abc")
  }
}
