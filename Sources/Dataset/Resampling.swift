/// Bilinear resizing, bit by bit as Pillow's `Image.resize(size, BILINEAR)` does it for RGB.
///
/// A triangle filter whose support grows with the reduction (so it does not alias), applied along rows and then
/// along columns. Coefficients are rounded to 22-bit fixed point, each pass rounds to 8 bits; a pass that would
/// not change its length is left out. (Pillow, `src/libImaging/Resample.c`.)
///
/// From version 13 on Pillow takes the columns first where the height shrinks by more than twice the pixels that
/// the width shrinks by; so does this. Earlier versions never do; there such images differ by one level at most.
package enum Resampling {
  /// `image` at `width` × `height`.
  package static func resize(_ image: RGBImage, width: Int, height: Int) -> RGBImage {
    precondition(width > 0 && height > 0)
    let rows = { (image: RGBImage) in
      width == image.width ? image : alongRows(image, Filter(from: image.width, to: width))
    }
    let columns = { (image: RGBImage) in
      height == image.height ? image : alongColumns(image, Filter(from: image.height, to: height))
    }
    let columnsFirst = height < image.height && image.height - height > 2 * (image.width - width)
    return columnsFirst ? rows(columns(image)) : columns(rows(image))
  }

  private static let precisionBits = 22

  /// For each output index: the first input index, how many follow, and their weights in fixed point.
  private struct Filter {
    let outputs: Int, taps: Int
    var first: [Int] = [], count: [Int] = []
    /// [outputs][taps]; weights after `count` are 0.
    var weights: [Int32] = []

    init(from input: Int, to output: Int) {
      let scale = Double(input) / Double(output)
      let support = max(scale, 1)
      outputs = output
      taps = Int(support.rounded(.up)) * 2 + 1
      first.reserveCapacity(output)
      count.reserveCapacity(output)
      weights = [Int32](repeating: 0, count: output * taps)
      var unscaled = [Double](repeating: 0, count: taps)
      for index in 0..<output {
        let center = (Double(index) + 0.5) * scale
        // Int(_:) truncates towards zero, as C's cast does; both matter at the left edge.
        let low = max(Int(center - support + 0.5), 0)
        let length = min(Int(center + support + 0.5), input) - low
        var sum = 0.0
        for tap in 0..<length {
          let distance = (Double(tap + low) - center + 0.5) * (1 / support)
          let weight = max(1 - distance.magnitude, 0)
          unscaled[tap] = weight
          sum += weight
        }
        for tap in 0..<length {
          let weight = sum == 0 ? unscaled[tap] : unscaled[tap] / sum
          weights[index * taps + tap] = Int32(0.5 + weight * Double(1 << precisionBits))
        }
        first.append(low)
        count.append(length)
      }
    }
  }

  /// A sum of pixel × weight, which starts at one half, back to 8 bits.
  @inline(__always)
  private static func rounded(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(max(sum >> precisionBits, 0), 255))
  }

  private static func alongRows(_ image: RGBImage, _ filter: Filter) -> RGBImage {
    let width = filter.outputs, height = image.height, stride = image.width * 3, taps = filter.taps
    let half = Int32(1) << (precisionBits - 1)
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { output, initialized in
      image.pixels.withUnsafeBufferPointer { input in
        filter.weights.withUnsafeBufferPointer { weights in
          filter.first.withUnsafeBufferPointer { first in
            filter.count.withUnsafeBufferPointer { count in
              var target = 0
              for y in 0..<height {
                for x in 0..<width {
                  var red = half, green = half, blue = half
                  var source = y * stride + first[x] * 3
                  let start = x * taps
                  for tap in start..<(start + count[x]) {
                    let weight = weights[tap]
                    red &+= Int32(input[source]) &* weight
                    green &+= Int32(input[source + 1]) &* weight
                    blue &+= Int32(input[source + 2]) &* weight
                    source += 3
                  }
                  output[target] = rounded(red)
                  output[target + 1] = rounded(green)
                  output[target + 2] = rounded(blue)
                  target += 3
                }
              }
            }
          }
        }
      }
      initialized = width * height * 3
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  private static func alongColumns(_ image: RGBImage, _ filter: Filter) -> RGBImage {
    let height = filter.outputs, stride = image.width * 3
    let half = Int32(1) << (precisionBits - 1)
    var sums = [Int32](repeating: 0, count: stride)
    let pixels = [UInt8](unsafeUninitializedCapacity: height * stride) { output, initialized in
      image.pixels.withUnsafeBufferPointer { input in
        sums.withUnsafeMutableBufferPointer { sums in
          for y in 0..<height {
            sums.update(repeating: half)
            for tap in 0..<filter.count[y] {
              let weight = filter.weights[y * filter.taps + tap]
              let row = UnsafeBufferPointer(rebasing: input[((filter.first[y] + tap) * stride)...].prefix(stride))
              for i in 0..<stride { sums[i] &+= Int32(row[i]) &* weight }
            }
            let row = UnsafeMutableBufferPointer(rebasing: output[(y * stride)..<((y + 1) * stride)])
            for i in 0..<stride { row[i] = rounded(sums[i]) }
          }
        }
      }
      initialized = height * stride
    }
    return RGBImage(width: image.width, height: height, pixels: pixels)
  }
}

extension RGBImage {
  /// The same with its aspect, as large as fits width × height and no larger than it is.
  package func reduced(toFit width: Double, _ height: Double) -> RGBImage {
    let scale = min(1, width / Double(self.width), height / Double(self.height))
    let columns = max(1, Int((Double(self.width) * scale).rounded()))
    let rows = max(1, Int((Double(self.height) * scale).rounded()))
    return columns == self.width && rows == self.height ? self : Resampling.resize(self, width: columns, height: rows)
  }
}
