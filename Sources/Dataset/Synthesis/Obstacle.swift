import Tensors

/// Something striped that hides 30 to 60 % of a picture, from the left, the right or below: what occluded re-identification is
/// asked about.
struct Obstacle {
  private enum Side: CaseIterable { case left, right, below }

  private let side: Side, share: Float
  private let color: Color, stripe: Color, period: Float

  init(_ random: inout CounterRandom) {
    func tone() -> Float { Float(random.uniform(0.1, 0.8)) }
    side = Side.allCases[random.integer(below: Side.allCases.count)]
    share = Float(random.uniform(0.3, 0.6))
    color = Color(tone(), tone(), tone())
    stripe = Color(tone(), tone(), tone())
    period = Float(random.uniform(6, 20))
  }

  /// `size`: of the picture, in pixels.
  func paint(on canvas: inout Canvas, size: Point) {
    (canvas.origin, canvas.scale) = (Point(0, 0), 1)
    let hidden: (low: Point, high: Point) =
      switch side {
      case .left: (Point(-1, -1), Point(size.x * share, size.y + 1))
      case .right: (Point(size.x * (1 - share), -1), size + 1)
      case .below: (Point(-1, size.y * (1 - share)), size + 1)
      }
    canvas.fill(.box(low: hidden.low, high: hidden.high)) { p in
      let phase = (p.x + p.y) / period
      return phase - phase.rounded(.down) < 0.5 ? color : stripe
    }
  }
}
