/// Colours of a whole image, bit by bit as Pillow computes them for RGB: `Image.convert`, `Image.point`, `ImageEnhance`, and
/// torchvision's `adjust_hue` for Pillow's images.
extension RGBImage {
  /// The luminance of ITU-R 601, rounded: what Pillow's mode L has.
  package static func luminance(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> UInt8 {
    UInt8(truncatingIfNeeded: (Int32(red) * 19595 + Int32(green) * 38470 + Int32(blue) * 7471 + 0x8000) >> 16)
  }

  /// All three channels its luminance.
  package mutating func removeColor() { eachPixel { r, g, b in (r, g, b) = Self.gray(r, g, b) } }

  private static func gray(_ red: UInt8, _ green: UInt8, _ blue: UInt8) -> (UInt8, UInt8, UInt8) {
    let gray = luminance(red, green, blue)
    return (gray, gray, gray)
  }

  /// `factor` 0 is black, 1 the image.
  package mutating func adjustBrightness(_ factor: Double) { look(up: Self.blend(0, factor)) }

  /// `factor` 0 is the mean luminance everywhere, 1 the image.
  package mutating func adjustContrast(_ factor: Double) {
    var sum = 0
    eachPixel { r, g, b in sum += Int(Self.luminance(r, g, b)) }
    look(up: Self.blend(UInt8(Double(sum) / Double(width * height) + 0.5), factor))
  }

  /// `factor` 0 is gray, 1 the image.
  package mutating func adjustSaturation(_ factor: Double) {
    let factor = Float(factor)
    eachPixel { r, g, b in
      let gray = Self.luminance(r, g, b)
      (r, g, b) = (Self.blend(gray, r, factor), Self.blend(gray, g, factor), Self.blend(gray, b, factor))
    }
  }

  /// Each of 256 values, blended with `start`.
  private static func blend(_ start: UInt8, _ factor: Double) -> [UInt8] {
    (0...255).map { blend(start, $0, Float(factor)) }
  }

  /// `Image.blend`: on from `start` to `end`, `factor` of the way, cut off and clipped; in single precision.
  @inline(__always)
  static func blend(_ start: UInt8, _ end: UInt8, _ factor: Float) -> UInt8 {
    let value = Float(start) + factor * Float(Int32(end) - Int32(start))
    return UInt8(truncatingIfNeeded: Int32(max(0, min(255, value))))
  }

  /// Another hue for every colour, `turn` of the circle away; saturation and value stay. Hues are rounded to 1/255.
  package mutating func turnHue(_ turn: Double) {
    let shift = UInt8(truncatingIfNeeded: Int(turn * 255))
    Self.hues.withUnsafeBufferPointer { hues in
      eachPixel { r, g, b in
        let high = max(max(r, g), b), low = min(min(r, g), b)
        if high == low { return }
        let range = Float(high - low), saturation = Int32(range / Float(high) * 255)
        if saturation == 0 {
          (r, g, b) = (high, high, high)
          return
        }
        let (toRed, toGreen, toBlue) = (Float(high - r) / range, Float(high - g) / range, Float(high - b) / range)
        // Single and double precision where Pillow has them.
        let sextant =
          r == high
          ? toBlue - toGreen
          : g == high
            ? Float(2 + Double(toRed) - Double(toBlue)) : Float(4 + Double(toGreen) - Double(toRed))
        let circle = Double(sextant) / 6 + 1
        let place = UInt8(truncatingIfNeeded: Int32(Float(circle >= 1 ? circle - 1 : circle) * 255))
        let hue = hues[Int(place &+ shift)]
        let share = Float(saturation) / 255, value = Float(high)
        @inline(__always) func level(_ factor: Float) -> UInt8 {
          UInt8(truncatingIfNeeded: Int32(value * factor + 0.5))
        }
        let bottom = level(1 - share), falling = level(1 - share * hue.part), rising = level(1 - share * (1 - hue.part))
        switch hue.sextant {
        case 0: (r, g, b) = (high, rising, bottom)
        case 1: (r, g, b) = (falling, high, bottom)
        case 2: (r, g, b) = (bottom, high, rising)
        case 3: (r, g, b) = (bottom, falling, high)
        case 4: (r, g, b) = (rising, bottom, high)
        default: (r, g, b) = (high, bottom, falling)
        }
      }
    }
  }

  /// Between which two pure colours each hue is, and how far on.
  private static let hues: [(sextant: Int, part: Float)] = (0...255).map {
    let place = Double($0) * 6 / 255, sextant = place.rounded(.down)
    return (Int(sextant) % 6, Float(place - sextant))
  }

  // MARK: - Passes over an image

  @inline(__always)
  private mutating func eachPixel(_ change: (inout UInt8, inout UInt8, inout UInt8) -> Void) {
    pixels.withUnsafeMutableBufferPointer { pixels in
      var place = 0
      while place < pixels.count {
        var (red, green, blue) = (pixels[place], pixels[place + 1], pixels[place + 2])
        change(&red, &green, &blue)
        (pixels[place], pixels[place + 1], pixels[place + 2]) = (red, green, blue)
        place += 3
      }
    }
  }

  /// `table` has what each of 256 values becomes, in all channels.
  mutating func look(up table: [UInt8]) {
    precondition(table.count == 256)
    pixels.withUnsafeMutableBufferPointer { pixels in
      table.withUnsafeBufferPointer { table in
        for place in pixels.indices { pixels[place] = table[Int(pixels[place])] }
      }
    }
  }
}
