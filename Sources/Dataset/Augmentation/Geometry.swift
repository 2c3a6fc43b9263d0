import Foundation

/// An image within its frame moved, bit by bit as Pillow's `Image.transform` and `Image.rotate` do it for RGB.
extension RGBImage {
  /// Row y moved to the left by `slope` · (y + ½) pixels, with cubic interpolation (a = −1); `fill` where nothing is seen.
  package mutating func shear(_ slope: Double, fill: UInt8) {
    let old = pixels, width = width
    pixels.withUnsafeMutableBufferPointer { output in
      old.withUnsafeBufferPointer { input in
        for y in 0..<height {
          for x in 0..<width {
            let target = (y * width + x) * 3
            let place = Double(x) + 0.5 + slope * (Double(y) + 0.5)
            guard place >= 0, place < Double(width) else {
              for channel in 0..<3 { output[target + channel] = fill }
              continue
            }
            let first = Int((place - 0.5).rounded(.down)), d = place - 0.5 - Double(first)
            for channel in 0..<3 {
              func value(_ x: Int) -> Double { Double(input[(y * width + max(0, min(width - 1, x))) * 3 + channel]) }
              let (a, b, c, e) = (value(first - 1), value(first), value(first + 1), value(first + 2))
              let sum = b + d * (-a + c + d * (2 * (a - b) + c - e + d * (-a + b - c + e)))
              output[target + channel] = UInt8(max(0, min(255, sum)))
            }
          }
        }
      }
    }
  }

  /// Columns moved to the right by `columns`, or to the left by fewer than none; those that leave at one side come in at the
  /// other: what a scan of the full circle is after a turn of the sensor.
  package mutating func roll(by columns: Int) {
    let shift = (columns % width + width) % width * 3, row = width * 3
    if shift == 0 { return }
    for start in stride(from: 0, to: pixels.count, by: row) {
      let line = pixels[start..<start + row]
      pixels.replaceSubrange(start..<start + row, with: line.suffix(shift) + line.prefix(row - shift))
    }
  }

  /// Turned counterclockwise about its middle by up to a right angle, each pixel the nearest one; `fill` where nothing is
  /// seen.
  package mutating func rotate(degrees: Double, fill: UInt8) {
    if degrees == 0 { return }
    let angle = -((degrees < 0 ? degrees + 360 : degrees) * (.pi / 180))
    // Pillow rounds to 15 digits, and counts in 65536ths of a pixel.
    func rounded(_ value: Double) -> Double { (value * 1e15).rounded(.toNearestOrEven) / 1e15 }
    func fixed(_ value: Double) -> Int { Int((value * 65536 + 0.5).rounded(.down)) }
    let (a, b, d, e) = (rounded(cos(angle)), rounded(sin(angle)), rounded(-sin(angle)), rounded(cos(angle)))
    let (middleX, middleY) = (Double(width) / 2, Double(height) / 2)
    let c = a * -middleX + b * -middleY + middleX, f = d * -middleX + e * -middleY + middleY
    let old = pixels, width = width, height = height
    pixels.withUnsafeMutableBufferPointer { output in
      old.withUnsafeBufferPointer { input in
        for y in 0..<height {
          var placeX = fixed(c + a * 0.5 + b * 0.5) + y * fixed(b)
          var placeY = fixed(f + d * 0.5 + e * 0.5) + y * fixed(e)
          for x in 0..<width {
            let (sourceX, sourceY) = (placeX >> 16, placeY >> 16), target = (y * width + x) * 3
            let isSeen = sourceX >= 0 && sourceX < width && sourceY >= 0 && sourceY < height
            let source = (sourceY * width + sourceX) * 3
            for channel in 0..<3 { output[target + channel] = isSeen ? input[source + channel] : fill }
            placeX += fixed(a)
            placeY += fixed(d)
          }
        }
      }
    }
  }
}
