import Tensors

/// Places for rectangles near points: moved apart as far as they cover each other, as little as that takes.
package enum Thumbnails {
  /// - Parameters:
  ///   - points: of the middles.
  ///   - size: of every rectangle; `gap` is left between them.
  ///   - bounds: that no rectangle leaves.
  package static func apart(
    _ points: [Point], width: Double, height: Double, gap: Double = 2, within bounds: Box, rounds: Int = 600
  ) -> [Point] {
    var places = points.map { clamped($0, width, height, bounds) }
    let (w, h) = (width + gap, height + gap)
    var random = CounterRandom(seed: 1, purpose: .evaluation)
    for _ in 0..<rounds {
      let order = places.indices.sorted { places[$0].x == places[$1].x ? $0 < $1 : places[$0].x < places[$1].x }
      var moves = [Point](repeating: Point(0, 0), count: places.count)
      var isCovered = [Bool](repeating: false, count: places.count)
      for (position, a) in order.enumerated() {
        for b in order[(position + 1)...] {
          let dx = places[b].x - places[a].x
          if dx >= w { break }
          let dy = places[b].y - places[a].y
          let (overX, overY) = (w - dx, h - abs(dy))
          guard overY > 0.01, overX > 0.01 else { continue }
          (isCovered[a], isCovered[b]) = (true, true)
          // The shorter way, each half of it. Copies go up and down by their order.
          if overX < overY {
            moves[a].x -= overX / 2
            moves[b].x += overX / 2
          } else {
            let sign = dy == 0 ? (a < b ? 1.0 : -1) : dy < 0 ? -1 : 1
            moves[a].y -= sign * overY / 2
            moves[b].y += sign * overY / 2
          }
        }
      }
      if !isCovered.contains(true) { break }
      for index in places.indices where isCovered[index] {
        // A little aside, or one between two would stay there for ever; at most half of a rectangle: nothing is thrown about.
        let x = 0.8 * (moves[index].x + random.uniform(-w / 4, w / 4))
        let y = 0.8 * (moves[index].y + random.uniform(-w / 4, w / 4))
        let move = Point(min(max(x, -w / 2), w / 2), min(max(y, -h / 2), h / 2))
        places[index] = clamped(Point(places[index].x + move.x, places[index].y + move.y), width, height, bounds)
      }
    }
    return places
  }

  private static func clamped(_ point: Point, _ width: Double, _ height: Double, _ bounds: Box) -> Point {
    Point(
      min(max(point.x, bounds.x + width / 2), bounds.right - width / 2),
      min(max(point.y, bounds.y + height / 2), bounds.bottom - height / 2))
  }
}
