import Foundation

extension RGBImage {
  /// A Gaussian blur of what `box` covers, of a deviation σ of a quarter of its shorter side: kernels end at 4σ, rounded (as
  /// SciPy's), read what surrounds the box too, and beyond the border of the image its last pixels. In double precision, row by
  /// row, then column by column, rounded once. `box` lies in the image.
  package mutating func blur(_ box: Rectangle) {
    let sigma = Double(min(box.height, box.width)) / 4, reach = Int(4 * sigma + 0.5)
    let weights = (-reach...reach).map { exp(-0.5 * Double($0 * $0) / (sigma * sigma)) }, sum = weights.reduce(0, +)
    let kernel = weights.map { $0 / sum }
    let rows = max(0, box.top - reach)..<min(height, box.top + box.height + reach)
    var lines = [Double](repeating: 0, count: rows.count * box.width * 3)
    for (line, y) in rows.enumerated() {
      for x in 0..<box.width {
        for (tap, weight) in kernel.enumerated() {
          let column = max(0, min(width - 1, box.left + x + tap - reach))
          for channel in 0..<3 {
            lines[(line * box.width + x) * 3 + channel] += weight * Double(pixels[(y * width + column) * 3 + channel])
          }
        }
      }
    }
    for y in box.top..<box.top + box.height {
      for place in 0..<box.width * 3 {
        var value = 0.5
        for (tap, weight) in kernel.enumerated() {
          let line = max(0, min(height - 1, y + tap - reach)) - rows.lowerBound
          value += weight * lines[line * box.width * 3 + place]
        }
        pixels[(y * width + box.left) * 3 + place] = UInt8(max(0, min(255, value)))
      }
    }
  }
}
