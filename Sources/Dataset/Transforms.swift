import Tensors

/// What becomes of an image before it enters the network, as 8-bit RGB [height][width][3].
package struct Transforms: Sendable, Equatable {
  /// The network's input.
  package let height: Int, width: Int
  /// Training images are resized to this many times the input's height and width, and cropped at random.
  package var enlargement = 1.125
  /// How often a training image is mirrored.
  package var flipProbability = 0.5
  /// How often a rectangle of a training image is covered with ImageNet's mean colour (Zhong et al., "Random erasing
  /// data augmentation", AAAI 2020: 2–40 % of the area, height to width 0.3–3.33).
  package var erasingProbability = 0.0

  package init(height: Int, width: Int, erasingProbability: Double = 0) {
    precondition(height > 0 && width > 0)
    self.height = height
    self.width = width
    self.erasingProbability = erasingProbability
  }

  /// For evaluation, and for training without augmentation: resized, nothing else.
  package func evaluation(_ image: RGBImage) -> [UInt8] {
    Resampling.resize(image, width: width, height: height).pixels
  }

  /// For training: enlarged, cropped, perhaps mirrored, perhaps erased.
  ///
  /// A function of the image and (seed, epoch, position) alone, `position` being the image's place in the epoch's
  /// sequence of all ranks, so that it does not matter which rank or thread does it. Drawn in the order top, left,
  /// mirror, erase, and then the attempts for a rectangle.
  package func augmented(_ image: RGBImage, seed: UInt64, epoch: Int, position: Int) -> [UInt8] {
    var random = CounterRandom(seed: seed, epoch: epoch, position: position, purpose: .augmentation)
    let enlarged = Resampling.resize(
      image, width: max(Int((Double(width) * enlargement).rounded()), width),
      height: max(Int((Double(height) * enlargement).rounded()), height))
    let top = random.integer(below: enlarged.height - height + 1)
    let left = random.integer(below: enlarged.width - width + 1)
    let flips = random.uniform() < flipProbability
    let erases = random.uniform() < erasingProbability

    var pixels = crop(enlarged, top: top, left: left)
    if flips { Mirror.rows(&pixels, width: width) }
    if erases, let hole = hole(&random) {
      for y in hole.top..<(hole.top + hole.height) {
        for x in hole.left..<(hole.left + hole.width) {
          for channel in 0..<3 { pixels[(y * width + x) * 3 + channel] = ImageNet.meanColor[channel] }
        }
      }
    }
    return pixels
  }

  private func crop(_ image: RGBImage, top: Int, left: Int) -> [UInt8] {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(height * width * 3)
    for y in top..<(top + height) {
      let start = (y * image.width + left) * 3
      pixels += image.pixels[start..<(start + width * 3)]
    }
    return pixels
  }

  /// The rectangle to erase: of a hundred attempts the first that fits; nil where none does.
  private func hole(_ random: inout CounterRandom) -> (top: Int, left: Int, height: Int, width: Int)? {
    for _ in 0..<100 {
      let area = random.uniform(0.02, 0.4) * Double(height * width)
      let aspect = random.uniform(0.3, 1 / 0.3)
      let rows = Int((area * aspect).squareRoot().rounded())
      let columns = Int((area / aspect).squareRoot().rounded())
      guard rows > 0, columns > 0, rows < height, columns < width else { continue }
      let top = random.integer(below: height - rows + 1), left = random.integer(below: width - columns + 1)
      return (top, left, rows, columns)
    }
    return nil
  }
}
