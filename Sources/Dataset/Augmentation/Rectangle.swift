import Tensors

/// A part of an image, in pixels.
package struct Rectangle: Sendable, Hashable, Codable {
  package let top: Int, left: Int, height: Int, width: Int

  package init(top: Int, left: Int, height: Int, width: Int) {
    (self.top, self.left, self.height, self.width) = (top, left, height, width)
  }

  /// Height and width drawn by area and aspect, then the place: of a hundred attempts the first that is smaller than a frame of
  /// `rows` × `columns`; nil where none is.
  ///
  /// - Parameters:
  ///   - area: the share of the frame.
  ///   - aspect: the least height to width; the greatest is its inverse.
  static func drawn(
    within rows: Int, _ columns: Int, area: ClosedRange<Double>, aspect least: Double, _ random: inout CounterRandom
  ) -> Rectangle? {
    for _ in 0..<100 {
      let area = random.uniform(area.lowerBound, area.upperBound) * Double(rows * columns)
      let aspect = random.uniform(least, 1 / least)
      let height = Int((area * aspect).squareRoot().rounded()), width = Int((area / aspect).squareRoot().rounded())
      guard height > 0, width > 0, height < rows, width < columns else { continue }
      let top = random.integer(below: rows - height + 1), left = random.integer(below: columns - width + 1)
      return Rectangle(top: top, left: left, height: height, width: width)
    }
    return nil
  }
}
