import Dataset
import Foundation

extension Drawing {
  /// An `svg` element. Its colours are variables of the class `lineup-drawing`, light or, where the reader prefers that, dark;
  /// texts are texts, pictures data URIs. `title` and `description` are read out in its place.
  ///
  /// - Parameter isStandalone: a file of its own, with XML's first line and `styleSheet`; otherwise for a page of HTML that has
  ///   `styleSheet` once.
  /// - Throws: `Failure.internal` where a picture cannot be encoded.
  package func svg(isStandalone: Bool = true) throws -> String {
    var out = isStandalone ? "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" : ""
    let size = "\(SVG.number(width))\" height=\"\(SVG.number(height))"
    out +=
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"lineup-drawing\" role=\"img\" width=\"\(size)\" "
      + "viewBox=\"0 0 \(SVG.number(width)) \(SVG.number(height))\">\n"
    out += "<title>\(Markup.escaped(title))</title>\n<desc>\(Markup.escaped(description))</desc>\n"
    if isStandalone { out += "<style>\n\(Self.styleSheet)\n</style>\n" }
    out += SVG.element(.box(Box(0, 0, width, height), fill: .paper)) + "\n"
    for mark in marks {
      if case .picture(let picture, let box) = mark {
        out += try SVG.image(picture, box) + "\n"
      } else {
        out += SVG.element(mark) + "\n"
      }
    }
    return out + "</svg>\n"
  }

  /// The colours of all drawings of a page.
  package static let styleSheet: String = {
    func variables(dark: Bool) -> String { ".lineup-drawing{\(Ink.variables("--lineup-", dark: dark))}" }
    let classes = Ink.named.map { ink in
      let name = ink.name!
      return
        ".lineup-drawing .f-\(name){fill:var(--lineup-\(name))}.lineup-drawing .s-\(name){stroke:var(--lineup-\(name))}"
    }
    return """
      \(variables(dark: false))
      @media screen and (prefers-color-scheme:dark){\(variables(dark: true))}
      .lineup-drawing{font-family:"DejaVu Sans",Verdana,system-ui,sans-serif;max-width:100%;height:auto}
      \(classes.joined(separator: "\n"))
      """
  }()
}

/// Marks as elements.
private enum SVG {
  /// Hundredths of a pixel.
  static func number(_ value: Double) -> String {
    let rounded = (value * 100).rounded() / 100
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
  }

  private static func fill(_ ink: Ink?) -> String {
    guard let ink else { return " fill=\"none\"" }
    return ink.name.map { " class=\"f-\($0)\"" } ?? " fill=\"\(ink.colour().hex)\""
  }

  /// - Parameter fill: of the same element, since it has one class.
  private static func paint(_ stroke: Stroke?, fill ink: Ink? = nil) -> String {
    guard let stroke else { return fill(ink) }
    var out = "", classes = ink?.name.map { ["f-\($0)"] } ?? []
    if let name = stroke.ink.name {
      classes.append("s-\(name)")
    } else {
      out += " stroke=\"\(stroke.ink.colour().hex)\""
    }
    if ink?.name == nil { out += " fill=\"\(ink?.colour().hex ?? "none")\"" }
    if !classes.isEmpty { out += " class=\"\(classes.joined(separator: " "))\"" }
    out += " stroke-width=\"\(number(stroke.width))\""
    if !stroke.dash.isEmpty { out += " stroke-dasharray=\"\(stroke.dash.map(number).joined(separator: " "))\"" }
    return out
  }

  private static func points(_ points: [Point]) -> String {
    points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
  }

  private static func rectangle(_ box: Box) -> String {
    "x=\"\(number(box.x))\" y=\"\(number(box.y))\" width=\"\(number(box.width))\" height=\"\(number(box.height))\""
  }

  static func element(_ mark: Mark) -> String {
    switch mark {
    case .line(let line, let stroke):
      return "<polyline points=\"\(points(line))\"\(paint(stroke)) stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
    case .area(let polygon, let ink, let opacity):
      return "<polygon points=\"\(points(polygon))\"\(fill(ink)) fill-opacity=\"\(number(opacity))\"/>"
    case .box(let box, let ink, let stroke, let radius):
      let corner = radius > 0 ? " rx=\"\(number(radius))\"" : ""
      return "<rect \(rectangle(box))\(corner)\(paint(stroke, fill: ink))/>"
    case .disc(let centre, let radius, let ink):
      return "<circle cx=\"\(number(centre.x))\" cy=\"\(number(centre.y))\" r=\"\(number(radius))\"\(fill(ink))/>"
    case .text(let text, let place, let style):
      let x = number(place.x), y = number(place.y)
      var attributes = " font-size=\"\(number(style.size))\"\(fill(style.ink))"
      if style.anchor != .start { attributes += " text-anchor=\"\(style.anchor.rawValue)\"" }
      if style.isBold { attributes += " font-weight=\"bold\"" }
      if style.isUpright { attributes += " transform=\"rotate(-90 \(x) \(y))\"" }
      return "<text x=\"\(x)\" y=\"\(y)\"\(attributes)>\(Markup.escaped(text))</text>"
    case .picture:
      preconditionFailure("pictures are encoded, which may fail")
    }
  }

  static func image(_ picture: Picture, _ box: Box) throws -> String {
    return
      "<image \(rectangle(box)) preserveAspectRatio=\"none\" role=\"img\" aria-label=\"\(Markup.escaped(picture.label))\" "
      + "href=\"\(try picture.dataURI())\"><title>\(Markup.escaped(picture.label))</title>"
      + "</image>"
  }
}
