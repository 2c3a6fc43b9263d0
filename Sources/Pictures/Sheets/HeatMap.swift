import Dataset

/// Values on a grid, shown as colours.
package struct HeatMap: Sendable, Equatable {
  package let rows: Int, columns: Int
  /// Row after row.
  package let values: [Double]

  package init(rows: Int, columns: Int, _ values: [Double]) {
    precondition(rows > 0 && columns > 0 && values.count == rows * columns)
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  /// From 0, the smallest value, to 1, the largest; 0 everywhere where all are alike, and where one is not finite.
  private var normalized: [Double] {
    let finite = values.filter(\.isFinite), low = finite.min() ?? 0, high = finite.max() ?? 0
    return values.map { high > low && $0.isFinite ? ($0 - low) / (high - low) : 0 }
  }

  /// In viridis, at this size: bilinear between the middles of the cells.
  /// - Parameter photograph: of the same size; the map then lies on it, in gray, as a veil.
  package func image(width: Int, height: Int, over photograph: RGBImage? = nil) -> RGBImage {
    precondition(photograph == nil || photograph!.width == width && photograph!.height == height)
    let map = normalized
    var pixels: [UInt8] = []
    pixels.reserveCapacity(width * height * 3)
    for y in 0..<height {
      let (top, bottom, v) = Self.neighbours(y, of: height, rows)
      for x in 0..<width {
        let (left, right, u) = Self.neighbours(x, of: width, columns)
        let upper = map[top * columns + left] * (1 - u) + map[top * columns + right] * u
        let lower = map[bottom * columns + left] * (1 - u) + map[bottom * columns + right] * u
        let colour = Viridis.colour(upper * (1 - v) + lower * v)
        var (red, green, blue) = (Double(colour.red), Double(colour.green), Double(colour.blue))
        if let photograph {
          let first = 3 * (y * width + x), p = photograph.pixels
          let gray = 0.299 * Double(p[first]) + 0.587 * Double(p[first + 1]) + 0.114 * Double(p[first + 2])
          (red, green, blue) = (0.6 * red + 0.4 * gray, 0.6 * green + 0.4 * gray, 0.6 * blue + 0.4 * gray)
        }
        pixels += [UInt8(red.rounded()), UInt8(green.rounded()), UInt8(blue.rounded())]
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  /// The cells whose middles a pixel's middle lies between, and its share of the second.
  private static func neighbours(_ pixel: Int, of pixels: Int, _ cells: Int) -> (Int, Int, Double) {
    let place = min(max((Double(pixel) + 0.5) * Double(cells) / Double(pixels) - 0.5, 0), Double(cells - 1))
    let first = Int(place)
    return (first, min(first + 1, cells - 1), place - Double(first))
  }
}

/// The colour map viridis (van der Walt and Smith, 2015; CC0): lightness rises evenly, for the colour-blind and in gray too.
package enum Viridis {
  /// At every thirty-second; between them it is linear, within three levels of the 256 of matplotlib.
  private static let anchors: [Colour] = [
    0x440154, 0x470d60, 0x48186a, 0x482374, 0x472d7b, 0x453781, 0x424086, 0x3e4989, 0x3b528b, 0x375b8d, 0x33638d,
    0x2f6b8e, 0x2c728e, 0x297a8e, 0x26828e, 0x23898e, 0x21918c, 0x1f988b, 0x1fa088, 0x22a785, 0x28ae80, 0x32b67a,
    0x3fbc73, 0x4ec36b, 0x5ec962, 0x70cf57, 0x84d44b, 0x98d83e, 0xaddc30, 0xc2df23, 0xd8e219, 0xece51b, 0xfde725,
  ].map { Colour($0) }

  /// - Parameter value: from 0 to 1.
  package static func colour(_ value: Double) -> Colour {
    let place = min(max(value, 0), 1) * Double(anchors.count - 1), first = min(Int(place), anchors.count - 2)
    let share = place - Double(first), (low, high) = (anchors[first], anchors[first + 1])
    func mix(_ a: UInt8, _ b: UInt8) -> UInt8 { UInt8((Double(a) * (1 - share) + Double(b) * share).rounded()) }
    return Colour(mix(low.red, high.red), mix(low.green, high.green), mix(low.blue, high.blue))
  }
}
