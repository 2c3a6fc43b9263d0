/// Tones of a whole image, bit by bit as Pillow's `ImageOps` and `ImageEnhance.Sharpness` compute them for RGB.
extension RGBImage {
  /// Each channel so that its values are spread evenly over 0...255.
  package mutating func equalize() {
    eachChannel { counts in
      let used = counts.filter { $0 > 0 }
      let step = (used.reduce(0, +) - (used.last ?? 0)) / 255
      guard used.count > 1, step > 0 else { return nil }
      var sum = step / 2
      return counts.map { count in
        defer { sum += count }
        return UInt8(min(255, sum / step))
      }
    }
  }

  /// Each channel so that its least value is 0 and its greatest 255.
  package mutating func stretchContrast() {
    eachChannel { counts in
      guard let low = counts.firstIndex(where: { $0 > 0 }), let high = counts.lastIndex(where: { $0 > 0 }), high > low
      else { return nil }
      let scale = 255 / Double(high - low), offset = -Double(low) * scale
      return (0..<256).map { UInt8(max(0, min(255, Int(Double($0) * scale + offset)))) }
    }
  }

  /// The upper `bits` of every value.
  package mutating func posterize(bits: Int) { look(up: (0...255).map { $0 & ~UInt8(255 >> bits) }) }

  /// Values of at least `threshold` inverted.
  package mutating func solarize(from threshold: Double) {
    look(up: (0...255).map { Double($0) < threshold ? $0 : 255 - $0 })
  }

  package mutating func invert() { look(up: (0...255).map { 255 - $0 }) }

  /// `factor` 0 is smoothed, each pixel the mean of it five times and its eight neighbours, 1 the image. Pixels at the border
  /// stay.
  package mutating func adjustSharpness(_ factor: Double) {
    let old = pixels, row = width * 3, factor = Float(factor)
    guard width > 2, height > 2 else { return }
    pixels.withUnsafeMutableBufferPointer { output in
      old.withUnsafeBufferPointer { input in
        for y in 1..<(height - 1) {
          for place in (y * row + 3)..<((y + 1) * row - 3) {
            var sum = 4 * Int32(input[place])
            for line in [place - row, place, place + row] {
              sum += Int32(input[line - 3]) + Int32(input[line]) + Int32(input[line + 3])
            }
            output[place] = Self.blend(UInt8((2 * sum + 13) / 26), input[place], factor)
          }
        }
      }
    }
  }

  /// `table` gives what each of 256 values becomes from how often it occurs; nil where they stay.
  private mutating func eachChannel(_ table: ([Int]) -> [UInt8]?) {
    for channel in 0..<3 {
      pixels.withUnsafeMutableBufferPointer { pixels in
        var counts = [Int](repeating: 0, count: 256)
        counts.withUnsafeMutableBufferPointer { counts in
          for place in stride(from: channel, to: pixels.count, by: 3) { counts[Int(pixels[place])] += 1 }
        }
        table(counts)?.withUnsafeBufferPointer { table in
          for place in stride(from: channel, to: pixels.count, by: 3) { pixels[place] = table[Int(pixels[place])] }
        }
      }
    }
  }
}
