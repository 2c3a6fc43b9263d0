import Dataset
import Tensors
import Testing

@Suite struct RotationAndGridTests {
  private let plain: Transforms = {
    var transforms = Transforms(height: 32, width: 16)
    (transforms.crop, transforms.flipProbability) = (CropChoice(.none), 0)
    return transforms
  }()

  private func pixel(_ pixels: [UInt8], _ x: Int, _ y: Int) -> [UInt8] {
    Array(pixels[(y * 16 + x) * 3..<(y * 16 + x) * 3 + 3])
  }

  /// Every result is the image turned by an angle within the range, whose corners are black.
  @Test func rotationsAreWithinTheirRange() {
    let image = formulaImage(width: 16, height: 32)
    var transforms = plain, options = RotationOptions()
    (options.probability, options.degrees) = (0.33, 20)
    transforms.rotation = .uniform(options)
    var angles: [Double] = []
    for position in 0..<600 {
      let seen = transforms.augmented(image, seed: 4, epoch: 1, position: position)
      var random = CounterRandom(seed: 4, epoch: 1, position: position, purpose: .rotation), expected = image
      if random.uniform() < 0.33 {
        angles.append(random.uniform(-20, 20))
        expected.rotate(degrees: angles.last!, fill: 0)
      }
      #expect(seen == expected.pixels)
    }
    // 198 expected, standard deviation 12.
    #expect((150...245).contains(angles.count))
    #expect(angles.allSatisfy { abs($0) <= 20 } && angles.min()! < -15 && angles.max()! > 15)
  }

  /// Lines in two directions: what is covered has the fill's colour, all else is the image's.
  @Test func gridsCoverLinesAlone() {
    let white = RGBImage(width: 16, height: 32, pixels: Array(repeating: 255, count: 1536))
    var transforms = plain, options = GridOptions()
    (options.probability, options.least, options.most) = (0.5, 4, 8)
    transforms.grid = .lines(options)
    var covered: [Int] = []
    for position in 0..<400 {
      let pixels = transforms.augmented(white, seed: 4, epoch: 1, position: position)
      let seen = (0..<512).map { pixel(pixels, $0 % 16, $0 / 16) }
      let lines = seen.count { $0 == ImageNet.meanColor }
      #expect(seen.allSatisfy { $0 == ImageNet.meanColor || $0 == [255, 255, 255] })
      if lines > 0 { covered.append(lines) }
    }
    #expect((150...250).contains(covered.count))
    // Of spacing s a share 1 − (1 − 1/s)²: 23 % at 8, 44 % at 4.
    #expect(covered.allSatisfy { (80...260).contains($0) } && covered.min()! < 140 && covered.max()! > 200)
    transforms.erasingFill = .color
    for position in 0..<50 {
      let pixels = transforms.augmented(white, seed: 4, epoch: 1, position: position)
      #expect(Set((0..<512).map { pixel(pixels, $0 % 16, $0 / 16) }).count <= 2)
    }
  }

  /// Without a turn lines are rows and columns.
  @Test func anUprightGridHasRowsAndColumns() {
    var image = RGBImage(width: 16, height: 32, pixels: Array(repeating: 255, count: 1536))
    var random = CounterRandom(seed: 1, purpose: .grid)
    LineGrid(spacing: 7, thickness: 2, degrees: 0, across: 0, along: 3).cover(&image, .mean, &random)
    for y in 0..<32 {
      for x in 0..<16 {
        #expect((pixel(image.pixels, x, y) == ImageNet.meanColor) == (x % 7 < 2 || (y + 3) % 7 < 2))
      }
    }
  }
}
