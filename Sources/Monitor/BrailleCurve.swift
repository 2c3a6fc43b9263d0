/// A curve in characters of 2 × 4 dots each (U+2800 and on).
enum BrailleCurve {
  /// Bits of the dots of a character, rows of two from the top.
  private static let dots: [[UInt32]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]

  /// `height` lines of `width` characters.
  /// - Parameters:
  ///   - values: 2 · `width`, from the left.
  ///   - range: what the lowest and the highest row of dots stand for.
  static func lines(_ values: [Double], width: Int, height: Int, range: ClosedRange<Double>) -> [String] {
    precondition(values.count == 2 * width && height > 0)
    var cells = [[UInt32]](repeating: [UInt32](repeating: 0, count: width), count: height)
    let rows = 4 * height
    func row(_ value: Double) -> Int {
      let span = range.upperBound - range.lowerBound
      let share = span > 0 ? (value - range.lowerBound) / span : 0.5
      return min(rows - 1, max(0, Int((Double(rows - 1) * (1 - share)).rounded())))
    }
    var before: Int?
    for (column, value) in values.enumerated() {
      let here = row(value)
      // From dot to dot without a gap: half of the way in this column.
      let middle = before.map { ($0 + here) / 2 } ?? here
      for y in min(middle, here)...max(middle, here) { cells[y / 4][column / 2] |= dots[y % 4][column % 2] }
      if let before, column > 0 {
        for y in min(before, middle)...max(before, middle) {
          cells[y / 4][(column - 1) / 2] |= dots[y % 4][(column - 1) % 2]
        }
      }
      before = here
    }
    return cells.map { line in String(String.UnicodeScalarView(line.map { UnicodeScalar(0x2800 + $0)! })) }
  }
}
