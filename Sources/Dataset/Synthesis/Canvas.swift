/// Red, green, blue; 0...1 where shown.
typealias Color = SIMD3<Float>

/// A point, in pixels or in units of a person's height.
typealias Point = SIMD2<Float>

/// Shapes by their signed distance: negative inside.
enum Shape {
  /// A limb: thick `startRadius` at one end, `endRadius` at the other.
  case limb(from: Point, to: Point, startRadius: Float, endRadius: Float)
  case ellipse(center: Point, radii: Point)
  /// Upright and symmetric about `x`: half as wide as `topWidth` at `top`, as `bottomWidth` at `bottom`.
  case trapezoid(x: Float, top: Float, bottom: Float, topHalf: Float, bottomHalf: Float)
  case box(low: Point, high: Point)

  /// Roughly the distance to the edge; exact enough to soften it.
  func distance(_ p: Point) -> Float {
    switch self {
    case .limb(let from, let to, let startRadius, let endRadius):
      let axis = to - from, offset = p - from
      let along = min(max((offset * axis).sum() / max((axis * axis).sum(), 1e-9), 0), 1)
      let away = offset - axis * along
      return (away * away).sum().squareRoot() - (startRadius + (endRadius - startRadius) * along)
    case .ellipse(let center, let radii):
      let scaled = (p - center) / radii
      return ((scaled * scaled).sum().squareRoot() - 1) * radii.min()
    case .trapezoid(let x, let top, let bottom, let topHalf, let bottomHalf):
      let along = min(max((p.y - top) / (bottom - top), 0), 1)
      let half = topHalf + (bottomHalf - topHalf) * along
      return max(abs(p.x - x) - half, max(top - p.y, p.y - bottom))
    case .box(let low, let high):
      return max((low - p).max(), (p - high).max())
    }
  }

  /// Nothing of the shape lies outside.
  var bounds: (low: Point, high: Point) {
    switch self {
    case .limb(let from, let to, let startRadius, let endRadius):
      let radius = max(startRadius, endRadius)
      return (pointwiseMin(from, to) - radius, pointwiseMax(from, to) + radius)
    case .ellipse(let center, let radii): return (center - radii, center + radii)
    case .trapezoid(let x, let top, let bottom, let topHalf, let bottomHalf):
      let half = max(topHalf, bottomHalf)
      return (Point(x - half, top), Point(x + half, bottom))
    case .box(let low, let high): return (low, high)
    }
  }
}

/// A picture being painted, at twice the resolution of the image that it becomes.
struct Canvas {
  /// Of the image.
  let width: Int, height: Int
  private static let fineness = 2
  /// [2·height][2·width].
  private var colors: [Color]

  /// Where shapes are: a point p of theirs is at `origin + scale * p` in pixels of the image.
  var origin = Point(0, 0), scale: Float = 1

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
    colors = Array(repeating: .zero, count: width * height * Self.fineness * Self.fineness)
  }

  /// Paints `shape`; `paint` is asked for the colour at a point in the coordinates of the shape.
  mutating func fill(_ shape: Shape, opacity: Float = 1, _ paint: (Point) -> Color) {
    let fineness = Float(Self.fineness), columns = width * Self.fineness, rows = height * Self.fineness
    let (low, high) = shape.bounds
    let first = ((origin + scale * low) * fineness).rounded(.down) - 1
    let last = ((origin + scale * high) * fineness).rounded(.up) + 1
    let left = max(Int(first.x), 0), right = min(Int(last.x), columns - 1)
    let top = max(Int(first.y), 0), bottom = min(Int(last.y), rows - 1)
    guard left <= right, top <= bottom else { return }
    for y in top...bottom {
      for x in left...right {
        let p = (Point(Float(x) + 0.5, Float(y) + 0.5) / fineness - origin) / scale
        // The edge is one fine pixel wide.
        let coverage = min(max(0.5 - shape.distance(p) * scale * fineness, 0), 1) * opacity
        if coverage == 0 { continue }
        let index = y * columns + x
        colors[index] += (paint(p) - colors[index]) * coverage
      }
    }
  }

  /// The pixels of the image that `shape` reaches; nil where it lies outside.
  func frame(of shape: Shape) -> Rectangle? {
    let (low, high) = shape.bounds
    let first = (origin + scale * low).rounded(.down), last = (origin + scale * high).rounded(.up)
    let left = max(Int(first.x), 0), right = min(Int(last.x), width)
    let top = max(Int(first.y), 0), bottom = min(Int(last.y), height)
    guard left < right, top < bottom else { return nil }
    return Rectangle(top: top, left: left, height: bottom - top, width: right - left)
  }

  /// Fills everything; `paint` gets the point in pixels of the image.
  mutating func fillAll(_ paint: (Point) -> Color) {
    let whole = Shape.box(low: Point(-1, -1), high: Point(Float(width) + 1, Float(height) + 1))
    let kept = (origin, scale)
    (origin, scale) = (Point(0, 0), 1)
    fill(whole, paint)
    (origin, scale) = kept
  }

  /// The image's colours [height][width], each the mean of its fine pixels.
  func reduced() -> [Color] {
    let fineness = Self.fineness, columns = width * fineness
    var result = [Color](repeating: .zero, count: width * height)
    for y in 0..<(height * fineness) {
      for x in 0..<columns { result[y / fineness * width + x / fineness] += colors[y * columns + x] }
    }
    return result.map { $0 / Float(fineness * fineness) }
  }
}
