import Foundation
import Tensors

/// A generated camera: where it looks, and how it renders colours.
struct Scene {
  private let wall: Color, wallSecond: Color, ground: Color, horizon: Float, texture: Int, period: Float
  /// Factors of red, green and blue; a power; an offset; how much of a pixel comes from its neighbours.
  private let cast: Color, contrast: Float, offset: Float, blur: Float

  init(_ random: inout CounterRandom) {
    // Places are grayish; a camera of a colourful place would be all that pixels tell.
    func gray(_ low: Double, _ high: Double) -> Color {
      Color(repeating: Float(random.uniform(low, high))) + tint(0.06)
    }
    func tint(_ size: Double) -> Color {
      Color(
        Float(random.uniform(-size, size)), Float(random.uniform(-size, size)), Float(random.uniform(-size, size)))
    }
    wall = gray(0.38, 0.62)
    wallSecond = gray(0.30, 0.70)
    ground = gray(0.35, 0.60)
    horizon = Float(random.uniform(0.45, 0.8))
    texture = random.integer(below: 3)
    period = Float(random.uniform(9, 30))
    cast = 1 + tint(0.16)
    contrast = Float(random.uniform(0.8, 1.3))
    offset = Float(random.uniform(-0.04, 0.08))
    blur = Float(random.uniform(0.0, 0.5))
  }

  /// What a camera took, and what is known of it.
  struct Picture {
    let image: RGBImage
    let view: Pose.View
    /// Of the head; nil where no face is seen. What stands in front does not count.
    let face: Rectangle?

    /// The rows of a part of it.
    func cropped(to part: BodyPart) -> Picture {
      let rows = part.rows(of: image.height)
      let seen = face.map {
        (max($0.top, rows.lowerBound)..<max($0.top + $0.height, rows.lowerBound)).clamped(to: rows)
      }
      return Picture(
        image: part.cropped(image), view: view,
        face: seen.flatMap { seen in
          seen.isEmpty
            ? nil
            : Rectangle(
              top: seen.lowerBound - rows.lowerBound, left: face!.left, height: seen.count, width: face!.width)
        })
    }
  }

  /// One picture of `person`, in 64×128 or any other size, everything about it drawn from `random`.
  ///
  /// `displaced` is a bad detection: most of the person is outside.
  func picture(
    of person: Appearance, width: Int, height: Int, displaced: Bool = false, behind obstacle: Obstacle? = nil,
    _ random: inout CounterRandom
  ) -> Picture {
    var canvas = Canvas(width: width, height: height)
    let size = Point(Float(width), Float(height))
    paintBackground(on: &canvas, shift: Float(random.uniform(0, 60)), size: size)

    let pose = Pose(&random)
    canvas.scale = size.y * Float(random.uniform(0.86, 1.0)) * person.stature * (displaced ? 1.9 : 1)
    let reach = displaced ? 0.75 : 0.09
    let foot = Point(
      size.x * Float(0.5 + random.uniform(-reach, reach)), size.y * Float(random.uniform(0.95, 1.01)))
    canvas.origin = foot - Point(0, canvas.scale)
    let figure = Figure(person: person, pose: pose), face = figure.face.flatMap(canvas.frame)
    figure.paint(on: &canvas)
    paintOccluder(on: &canvas, size: size, &random)
    obstacle?.paint(on: &canvas, size: size)
    return Picture(
      image: develop(canvas.reduced(), width: width, height: height, &random), view: pose.view, face: face)
  }

  private func paintBackground(on canvas: inout Canvas, shift: Float, size: Point) {
    canvas.fillAll { p in
      if p.y / size.y > horizon { return ground * (0.8 + 0.3 * (p.y / size.y - horizon)) }
      let along = texture == 0 ? p.x + shift : texture == 1 ? p.y : p.x * 0.7 + p.y * 0.7 + shift
      let phase = along / period
      return (phase - phase.rounded(.down) < 0.3 ? wallSecond : wall) * (0.85 + 0.2 * p.y / size.y)
    }
  }

  /// On every fifth picture something stands in front: a post at a side, or a low thing that hides the feet.
  private func paintOccluder(on canvas: inout Canvas, size: Point, _ random: inout CounterRandom) {
    let shows = random.uniform() < 0.2, low = random.uniform() < 0.5
    let x = size.x * Float(random.uniform(0.1, 0.9)), share = Float(random.uniform(0.1, 0.28))
    let color = Color(Float(random.uniform(0.1, 0.8)), Float(random.uniform(0.1, 0.8)), Float(random.uniform(0.1, 0.8)))
    guard shows else { return }
    (canvas.origin, canvas.scale) = (Point(0, 0), 1)
    let shape: Shape =
      low
      ? .box(low: Point(-1, size.y * (1 - share)), high: size + 1)
      : .box(low: Point(x - size.x * share / 2, -1), high: Point(x + size.x * share / 2, size.y + 1))
    canvas.fill(shape) { _ in color }
  }

  /// Light of this picture, the camera's colours, blur and noise, to 8 bits.
  private func develop(
    _ colors: [Color], width: Int, height: Int, _ random: inout CounterRandom
  ) -> RGBImage {
    let brightness = Float(random.uniform(0.8, 1.2)), slope = Float(random.uniform(-0.2, 0.2))
    let noise = random.uniform(0.005, 0.03)
    var pixels = [UInt8](repeating: 0, count: width * height * 3)
    for y in 0..<height {
      for x in 0..<width {
        let neighbours =
          colors[max(y - 1, 0) * width + x] + colors[min(y + 1, height - 1) * width + x]
          + colors[y * width + max(x - 1, 0)] + colors[y * width + min(x + 1, width - 1)]
        let soft = colors[y * width + x] * (1 - blur) + neighbours * (blur / 4)
        let light = brightness * (1 + slope * (Float(x) / Float(width) - 0.5) * 2)
        let grain = Float(random.normal() * noise)
        for channel in 0..<3 {
          let linear = min(max(soft[channel] * cast[channel] * light, 0), 1)
          let value = pow(linear, contrast) + offset + grain
          pixels[(y * width + x) * 3 + channel] = UInt8(min(max(value * 255 + 0.5, 0), 255))
        }
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }
}
