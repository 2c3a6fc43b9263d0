import Dataset

/// Pictures of one size side by side, with a border around each.
struct Mosaic {
  /// The border of a picture.
  struct Frame {
    let red: UInt8, green: UInt8, blue: UInt8
    /// For those to whom colours say nothing.
    var isDashed = false
  }

  let columns: Int, width: Int, height: Int, border: Int
  private(set) var image: RGBImage

  /// Nothing but a gray ground.
  init(columns: Int, rows: Int, width: Int, height: Int, border: Int) {
    (self.columns, self.width, self.height, self.border) = (columns, width, height, border)
    let (all, high) = (columns * (width + 2 * border), rows * (height + 2 * border))
    image = RGBImage(width: all, height: high, pixels: [UInt8](repeating: 224, count: all * high * 3))
  }

  /// Puts a picture ([height][width][3]) at `place`, counted row after row, its border in `frame`, where there is one.
  /// - Parameters:
  ///   - narrow: the picture's own width, where it is less, with `left` of the ground before it.
  mutating func put(
    _ pixels: some RandomAccessCollection<UInt8>, at place: Int, frame: Frame? = nil,
    width narrow: Int? = nil, left: Int = 0
  ) {
    let own = narrow ?? width
    precondition(pixels.count == own * height * 3 && left + own <= width)
    let (row, column) = place.quotientAndRemainder(dividingBy: columns)
    let (wide, high) = (width + 2 * border, height + 2 * border)
    func start(_ x: Int, _ y: Int) -> Int { ((row * high + y) * image.width + column * wide + x) * 3 }
    if let frame {
      for y in 0..<high {
        for x in 0..<wide {
          if frame.isDashed && (x + y) / (2 * border) % 2 == 1 { continue }
          let pixel = start(x, y)
          (image.pixels[pixel], image.pixels[pixel + 1], image.pixels[pixel + 2]) = (frame.red, frame.green, frame.blue)
        }
      }
    }
    for y in 0..<height {
      let line = pixels.dropFirst(y * own * 3).prefix(own * 3), begin = start(border + left, border + y)
      image.pixels.replaceSubrange(begin..<begin + line.count, with: line)
    }
  }
}
