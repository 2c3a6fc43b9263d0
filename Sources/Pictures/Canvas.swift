import CCairo
import Dataset
import Foundation
import Storage
import Tensors

/// A drawing as pixels, by Cairo.
package final class Canvas {
  /// Larger ones are drawn with fewer pixels: 40 million take 160 MB.
  package static let mostPixels = 40_000_000.0
  /// Of Cairo's images.
  private static let longestSide = 32_000.0

  private let surface: OpaquePointer, context: OpaquePointer

  /// On a light page.
  /// - Parameter scale: pixels for a CSS pixel, where the drawing is not too large for it.
  /// - Throws: `Failure.internal` with Cairo's reason.
  package init(_ drawing: Drawing, scale wanted: Double = 2) throws {
    let area = drawing.width * drawing.height
    let scale = min(
      wanted, (Self.mostPixels / area).squareRoot(), Self.longestSide / max(drawing.width, drawing.height))
    surface = cairo_image_surface_create(
      CAIRO_FORMAT_RGB24, CInt((drawing.width * scale).rounded(.up)), CInt((drawing.height * scale).rounded(.up)))
    context = cairo_create(surface)
    try check()
    cairo_scale(context, scale, scale)
    cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND)
    cairo_set_line_cap(context, CAIRO_LINE_CAP_ROUND)
    // All of it, what is rounded up to a whole pixel too.
    use(.paper)
    cairo_paint(context)
    for mark in drawing.marks { draw(mark) }
    try check()
    cairo_surface_flush(surface)
  }

  deinit {
    cairo_destroy(context)
    cairo_surface_destroy(surface)
  }

  /// The one door from Cairo, which remembers the first error.
  private func check() throws {
    for status in [cairo_surface_status(surface), cairo_status(context)] where status != CAIRO_STATUS_SUCCESS {
      throw Failure.internal("cairo: \(String(cString: cairo_status_to_string(status)))")
    }
  }

  /// Writes a PNG to the file at `path`, whole or not at all.
  package func write(to path: String) throws {
    try AtomicFiles.write(to: path) { file in try encode { try file.write($0) } }
  }

  /// The bytes of a PNG.
  package func png() throws -> [UInt8] {
    var bytes: [UInt8] = []
    try encode { bytes += $0 }
    return bytes
  }

  private func encode(_ take: (UnsafeRawBufferPointer) throws -> Void) throws {
    try withoutActuallyEscaping(take) { take in
      let sink = Sink(take)
      let status = cairo_surface_write_to_png_stream(
        surface,
        { sink, data, count in
          let sink = Unmanaged<Sink>.fromOpaque(sink!).takeUnretainedValue()
          return sink.write(UnsafeRawBufferPointer(start: data, count: Int(count)))
        }, Unmanaged.passUnretained(sink).toOpaque())
      if let error = sink.error { throw error }
      guard status == CAIRO_STATUS_SUCCESS else {
        throw Failure.internal("cairo: \(String(cString: cairo_status_to_string(status)))")
      }
    }
  }

  /// Keeps what writing throws, which must not cross C.
  private final class Sink {
    private let take: (UnsafeRawBufferPointer) throws -> Void
    private(set) var error: (any Error)?

    init(_ take: @escaping (UnsafeRawBufferPointer) throws -> Void) { self.take = take }

    func write(_ bytes: UnsafeRawBufferPointer) -> cairo_status_t {
      do {
        try take(bytes)
        return CAIRO_STATUS_SUCCESS
      } catch {
        self.error = error
        return CAIRO_STATUS_WRITE_ERROR
      }
    }
  }

  // MARK: - Marks

  private func draw(_ mark: Mark) {
    switch mark {
    case .line(let points, let stroke):
      trace(points)
      self.stroke(stroke)
    case .area(let points, let ink, let opacity):
      trace(points)
      cairo_close_path(context)
      fill(ink, opacity)
    case .box(let box, let ink, let stroke, let radius):
      if let ink {
        trace(box, radius)
        fill(ink)
      }
      if let stroke {
        trace(box, radius)
        self.stroke(stroke)
      }
    case .disc(let centre, let radius, let ink):
      cairo_new_path(context)
      cairo_arc(context, centre.x, centre.y, radius, 0, 2 * .pi)
      fill(ink)
    case .text(let text, let place, let style): write(text, place, style)
    case .picture(let picture, let box): paint(picture.image, box)
    }
  }

  private func trace(_ points: [Point]) {
    cairo_new_path(context)
    for point in points { cairo_line_to(context, point.x, point.y) }
    // A single point is a dot of the line's width.
    if points.count == 1 { cairo_close_path(context) }
  }

  private func trace(_ box: Box, _ radius: Double) {
    cairo_new_path(context)
    guard radius > 0 else { return cairo_rectangle(context, box.x, box.y, box.width, box.height) }
    let r = min(radius, box.width / 2, box.height / 2)
    let corners = [
      (box.right - r, box.y + r), (box.right - r, box.bottom - r), (box.x + r, box.bottom - r), (box.x + r, box.y + r),
    ]
    for (quarter, corner) in corners.enumerated() {
      let start = Double(quarter - 1) * .pi / 2
      cairo_arc(context, corner.0, corner.1, r, start, start + .pi / 2)
    }
    cairo_close_path(context)
  }

  private func use(_ ink: Ink, _ opacity: Double = 1) {
    let colour = ink.colour()
    cairo_set_source_rgba(
      context, Double(colour.red) / 255, Double(colour.green) / 255, Double(colour.blue) / 255, opacity)
  }

  private func fill(_ ink: Ink, _ opacity: Double = 1) {
    use(ink, opacity)
    cairo_fill(context)
  }

  private func stroke(_ stroke: Stroke) {
    use(stroke.ink)
    cairo_set_line_width(context, stroke.width)
    cairo_set_dash(context, stroke.dash, CInt(stroke.dash.count), 0)
    cairo_stroke(context)
  }

  private func write(_ text: String, _ place: Point, _ style: TextStyle) {
    // Cairo refuses a text with a zero in it, and draws boxes for control characters.
    let text = Printable.line(text)
    cairo_select_font_face(
      context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, style.isBold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL)
    cairo_set_font_size(context, style.size)
    var extents = cairo_text_extents_t()
    cairo_text_extents(context, text, &extents)
    let share =
      switch style.anchor {
      case .start: 0.0
      case .middle: 0.5
      case .end: 1.0
      }
    use(style.ink)
    cairo_save(context)
    cairo_translate(context, place.x, place.y)
    if style.isUpright { cairo_rotate(context, -.pi / 2) }
    cairo_move_to(context, -share * extents.x_advance, 0)
    cairo_show_text(context, text)
    cairo_restore(context)
  }

  private func paint(_ image: RGBImage, _ box: Box) {
    // Cairo's pixels are 0xXXRRGGBB in the machine's order.
    var pixels = [UInt32](repeating: 0, count: image.width * image.height)
    for index in pixels.indices {
      let first = 3 * index
      pixels[index] =
        UInt32(image.pixels[first]) << 16 | UInt32(image.pixels[first + 1]) << 8 | UInt32(image.pixels[first + 2])
    }
    pixels.withUnsafeMutableBytes { bytes in
      let source = cairo_image_surface_create_for_data(
        bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), CAIRO_FORMAT_RGB24, CInt(image.width),
        CInt(image.height), CInt(4 * image.width))
      cairo_save(context)
      cairo_translate(context, box.x, box.y)
      cairo_scale(context, box.width / Double(image.width), box.height / Double(image.height))
      cairo_set_source_surface(context, source, 0, 0)
      let pattern = cairo_get_source(context)
      cairo_pattern_set_filter(pattern, CAIRO_FILTER_GOOD)
      // Not mixed with what is beyond its border.
      cairo_pattern_set_extend(pattern, CAIRO_EXTEND_PAD)
      cairo_rectangle(context, 0, 0, Double(image.width), Double(image.height))
      cairo_fill(context)
      cairo_restore(context)
      cairo_surface_destroy(source)
    }
  }
}
