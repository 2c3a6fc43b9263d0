import Dataset
import Tensors
import Testing

/// Augmentations of scans of the full circle.
@Suite struct ScanTests {
  private let plain: Transforms = {
    var transforms = Transforms(height: 32, width: 16)
    (transforms.crop, transforms.flipProbability) = (CropChoice(.none), 0)
    return transforms
  }()

  /// Column x of what comes out is column x − shift of what came in.
  @Test func rollsTurnTheWholeCircle() {
    let image = formulaImage(width: 16, height: 32)
    var turned: [[UInt8]: Int] = [:]
    for shift in 0..<16 {
      var pixels: [UInt8] = []
      for y in 0..<32 {
        for x in 0..<16 { pixels += image.pixels[((y * 16 + (x + 16 - shift) % 16) * 3)...].prefix(3) }
      }
      turned[pixels] = shift
      for same in [shift, shift - 16, shift + 32] {
        var rolled = image
        rolled.roll(by: same)
        #expect(rolled.pixels == pixels)
      }
    }
    #expect(turned.count == 16)
    var transforms = plain
    transforms.rollProbability = 0.5
    let shifts = (0..<800).map { turned[transforms.augmented(image, seed: 4, epoch: 1, position: $0)] }
    #expect(shifts.allSatisfy { $0 != nil } && Set(shifts).count == 16)
    // 25 of 400 each, and what is not turned.
    #expect((350...500).contains(shifts.count { $0 == 0 }))
    #expect((1..<16).allSatisfy { shift in (8...50).contains(shifts.count { $0 == shift }) })
  }

  @Test func sectorsAreBandsOfColumnsRoundTheBorder() throws {
    let black = RGBImage(width: 16, height: 32, pixels: Array(repeating: 0, count: 1536))
    var transforms = plain, options = SectorOptions()
    (options.probability, options.least, options.most) = (0.5, 0.2, 0.5)
    transforms.sectors = .band(options)
    for fill in [ErasingFill.mean, .color] {
      transforms.erasingFill = fill
      var widths: [Int] = [], starts: Set<Int> = []
      for position in 0..<600 {
        let pixels = transforms.augmented(black, seed: 4, epoch: 1, position: position)
        func color(_ x: Int, _ y: Int) -> [UInt8] { Array(pixels[((y * 16 + x % 16) * 3)...].prefix(3)) }
        let covered = (0..<16).filter { color($0, 0) != [0, 0, 0] }
        if covered.isEmpty { continue }
        // One band, from a first column on; all rows, one colour.
        let first = covered.filter { !covered.contains(($0 + 15) % 16) }
        try #require(first.count == 1)
        for step in 0..<covered.count {
          for y in 0..<32 { #expect(color(first[0] + step, y) == color(first[0], 0)) }
        }
        if fill == .mean { #expect(color(first[0], 0) == ImageNet.meanColor) }
        widths.append(covered.count)
        starts.insert(first[0])
      }
      #expect((230...370).contains(widths.count))
      #expect(Set(widths) == Set(3...8) && starts.count == 16)
    }
  }

  @Test func theWidestBandIsTheWholeImage() {
    var transforms = plain, options = SectorOptions()
    (options.probability, options.least, options.most) = (1, 1, 1)
    transforms.sectors = .band(options)
    let pixels = transforms.augmented(formulaImage(width: 16, height: 32), seed: 4, epoch: 1, position: 0)
    #expect((0..<512).allSatisfy { Array(pixels[$0 * 3..<$0 * 3 + 3]) == ImageNet.meanColor })
    (options.least, options.most) = (0, 0)
    transforms.sectors = .band(options)
    let one = transforms.augmented(formulaImage(width: 16, height: 32), seed: 4, epoch: 1, position: 0)
    #expect((32...34).contains((0..<512).count { Array(one[$0 * 3..<$0 * 3 + 3]) == ImageNet.meanColor }))
  }
}
