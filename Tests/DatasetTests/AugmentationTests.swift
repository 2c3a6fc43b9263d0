import Dataset
import Foundation
import Tensors
import Testing

@Suite struct AugmentationTests {
  // MARK: - The arithmetic of Pillow

  /// Digests of three generated images, one after the other, after each operation as Pillow does it, for hue and saturation also
  /// of every third colour (`python Benchmarks/reference/augmentations.py`).
  @Test func operationsAreThoseOfPillow() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Augmentations.txt")
    let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
    let images = [
      formulaImage(width: 31, height: 64), soft(width: 40, height: 22), formulaImage(width: 48, height: 24),
    ]
    #expect(lines.count == 67)
    for line in lines {
      let fields = line.split(separator: " ").map(String.init)
      let value = fields.count == 3 ? Double(fields[1])! : 0
      let more = ["hue", "saturation"].contains(fields[0]) ? [Self.cube] : []
      let pixels = (images + more).flatMap { image in
        var image = image
        operate(fields[0], value, &image)
        return image.pixels
      }
      #expect(digest(pixels) == fields.last!, "\(line)")
    }
  }

  private func operate(_ name: String, _ value: Double, _ image: inout RGBImage) {
    switch name {
    case "gray": image.removeColor()
    case "equalize": image.equalize()
    case "autocontrast": image.stretchContrast()
    case "invert": image.invert()
    case "brightness": image.adjustBrightness(value)
    case "contrast": image.adjustContrast(value)
    case "saturation": image.adjustSaturation(value)
    case "sharpness": image.adjustSharpness(value)
    case "hue": image.turnHue(value)
    case "posterize": image.posterize(bits: Int(value))
    case "solarize": image.solarize(from: value)
    case "shear": image.shear(value, fill: 128)
    case "rotate": image.rotate(degrees: value, fill: 128)
    case "grid":
      var random = CounterRandom(seed: 1, purpose: .grid)
      LineGrid(spacing: Int(value), thickness: 1, degrees: 31, across: 3.25, along: 7.5).cover(&image, .mean, &random)
    case "roll": image.roll(by: Int(value))
    case "blur":
      let side = Int(value)
      image.blur(
        Rectangle(top: 3, left: 5, height: min(side + 3, image.height - 3), width: min(side, image.width - 5)))
    default: Issue.record("no operation \(name)")
    }
  }

  private func soft(width: Int, height: Int) -> RGBImage {
    let pixels = (0..<(width * height * 3)).map { (i: Int) -> UInt8 in UInt8(60 + (i * 7 + i * i * 3) % 90) }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  private static let cube: RGBImage = {
    let values = Array(stride(from: UInt8(0), through: 255, by: 3))
    var pixels: [UInt8] = []
    for red in values { for green in values { for blue in values { pixels += [red, green, blue] } } }
    return RGBImage(width: values.count * values.count, height: values.count, pixels: pixels)
  }()

  @Test func imagesTooSmallForAnOperationStayWhole() {
    for (width, height) in [(1, 1), (2, 7), (9, 2)] {
      var image = formulaImage(width: width, height: height)
      for name in ["gray", "equalize", "autocontrast", "sharpness", "shear", "hue", "contrast"] {
        operate(name, 0.3, &image)
      }
      operate("rotate", 10, &image)
      #expect(image.pixels.count == width * height * 3)
    }
  }

  // MARK: - How often, and in which order

  private let plain: Transforms = {
    var transforms = Transforms(height: 32, width: 16)
    (transforms.crop, transforms.flipProbability) = (CropChoice(.none), 0)
    return transforms
  }()

  private func outputs(_ transforms: Transforms, _ image: RGBImage, count: Int = 300) -> [[UInt8]] {
    (0..<count).map { transforms.augmented(image, seed: 4, epoch: 1, position: $0) }
  }

  private func jitter(_ change: (inout JitterOptions) -> Void) -> ColorJitter {
    var options = JitterOptions()
    (options.probability, options.brightness, options.contrast, options.saturation, options.hue) = (1, 0, 0, 0, 0)
    change(&options)
    return .uniform(options)
  }

  @Test func nothingIsChangedWithProbabilityZero() throws {
    let image = formulaImage(width: 20, height: 50), usual = Transforms(height: 32, width: 16, erasingProbability: 0.5)
    var transforms = usual, policy = PolicyOptions()
    policy.probability = 0
    transforms.colorJitter = jitter { ($0.probability, $0.brightness) = (0, 0.5) }
    for choice in [AutoAugment.reid(policy), .imagenet(policy)] {
      transforms.autoAugment = choice
      #expect(outputs(transforms, image) == outputs(usual, image))
    }
    #expect(usual.patch(among: 8, seed: 1, epoch: 0, position: 0) == nil)
    // No amount, no change.
    var still = usual
    still.colorJitter = jitter { _ in }
    #expect(outputs(still, image) == outputs(usual, image))
  }

  /// Crop, mirror and the erased rectangle stay where they are, whatever is turned on beside them.
  @Test func newDrawsDoNotMoveOldOnes() {
    let image = formulaImage(width: 20, height: 50), usual = Transforms(height: 32, width: 16, erasingProbability: 1)
    var gray = usual, noisy = usual
    gray.grayProbability = 1
    noisy.erasingFill = .noise
    for (a, b) in zip(outputs(usual, image, count: 50), outputs(gray, image, count: 50)) {
      var expected = RGBImage(width: 16, height: 32, pixels: a)
      expected.removeColor()
      for place in 0..<512 {
        let rgb = Array(a[(place * 3)..<(place * 3 + 3)]), seen = Array(b[(place * 3)..<(place * 3 + 3)])
        #expect(
          seen == Array(expected.pixels[(place * 3)..<(place * 3 + 3)]) || seen == rgb && rgb == ImageNet.meanColor)
      }
    }
    for (a, b) in zip(outputs(usual, image, count: 50), outputs(noisy, image, count: 50)) {
      for place in a.indices where a[place] != b[place] { #expect(a[place] == ImageNet.meanColor[place % 3]) }
    }
  }

  @Test func probabilitiesAreKept() {
    let image = formulaImage(width: 16, height: 32)
    func changed(_ change: (inout Transforms) -> Void) -> Int {
      var transforms = plain
      change(&transforms)
      return outputs(transforms, image, count: 400).count { $0 != image.pixels }
    }
    // 120 expected, standard deviation 9.
    #expect((80...160).contains(changed { $0.grayProbability = 0.3 }))
    #expect((80...160).contains(changed { $0.colorJitter = jitter { ($0.probability, $0.hue) = (0.3, 0.3) } }))
    var policy = PolicyOptions()
    policy.probability = 1
    #expect((250..<400).contains(changed { $0.autoAugment = .reid(policy) }))
    #expect((250..<400).contains(changed { $0.autoAugment = .imagenet(policy) }))
  }

  /// Every outcome of the policy for re-identification, and no other.
  @Test func thePolicyDoesItsPairs() {
    let image = formulaImage(width: 16, height: 32)
    func after(_ steps: [(String, Double)]) -> [UInt8] {
      var image = image
      for (name, value) in steps { operate(name, value, &image) }
      return image.pixels
    }
    let equalized = ("equalize", 0.0), slope = 0.3 * 5 / 9
    let outcomes = [
      [], [equalized], [equalized, equalized], [("posterize", 5)], [("posterize", 6), equalized],
      [equalized, ("posterize", 5)], [("shear", slope), equalized], [("shear", -slope), equalized],
    ].map(after)
    var policy = PolicyOptions(), transforms = plain
    policy.probability = 1
    transforms.autoAugment = .reid(policy)
    #expect(Set(outputs(transforms, image, count: 600)) == Set(outcomes))
  }

  /// With one amount alone, every result is that operation's with a factor in its range.
  @Test func jitterDrawsItsWholeRange() {
    let white = RGBImage(width: 16, height: 32, pixels: Array(repeating: 200, count: 1536))
    var transforms = plain
    transforms.colorJitter = jitter { $0.brightness = 0.2 }
    let levels = outputs(transforms, white).map { pixels in
      #expect(Set(pixels).count == 1)
      return Int(pixels[0])
    }
    #expect(levels.allSatisfy { (160...240).contains($0) } && levels.min()! < 165 && levels.max()! > 235)
  }

  /// Brightness and contrast do not commute: both orders occur.
  @Test func jitterGoesInBothOrders() {
    let image = formulaImage(width: 16, height: 32)
    var transforms = plain
    transforms.colorJitter = jitter { ($0.brightness, $0.contrast) = (0.9, 0.9) }
    // The same factors in the one order and in the other, from the same stream.
    var orders: Set<String> = []
    for position in 0..<40 {
      var random = CounterRandom(seed: 4, epoch: 1, position: position, purpose: .color)
      _ = random.uniform()
      for _ in 0..<3 { _ = random.next() }
      let (a, b) = (random.uniform(0.1, 1.9), random.uniform(0.1, 1.9))
      let seen = transforms.augmented(image, seed: 4, epoch: 1, position: position)
      var first = image, second = image
      first.adjustBrightness(a)
      first.adjustContrast(b)
      second.adjustContrast(a)
      second.adjustBrightness(b)
      #expect(seen == first.pixels || seen == second.pixels)
      orders.insert(seen == first.pixels ? "brightness first" : "contrast first")
    }
    #expect(orders.count == 2)
  }

  // MARK: - What covers

  @Test func fillsHaveTheirDistribution() {
    let black = RGBImage(width: 16, height: 32, pixels: Array(repeating: 0, count: 1536))
    var transforms = plain
    transforms.erasingProbability = 1
    for fill in [ErasingFill.noise, .color] {
      transforms.erasingFill = fill
      var sums = [0.0, 0, 0], squares = [0.0, 0, 0], counts = [0.0, 0, 0], colors: [Int] = []
      for pixels in outputs(transforms, black, count: 1000) {
        var seen: Set<[UInt8]> = []
        for place in 0..<512 {
          let color = Array(pixels[(place * 3)..<(place * 3 + 3)])
          if color == [0, 0, 0] { continue }
          seen.insert(color)
          for c in 0..<3 {
            sums[c] += Double(color[c])
            squares[c] += Double(color[c]) * Double(color[c])
            counts[c] += 1
          }
        }
        colors.append(seen.count)
      }
      #expect(fill == .color ? colors.allSatisfy { $0 <= 1 } : colors.contains { $0 > 50 })
      for c in 0..<3 {
        let mean = sums[c] / counts[c], deviation = (squares[c] / counts[c] - mean * mean).squareRoot()
        // Cutting off at 0 and 255 moves both a little; a thousand colours are known to about 2.
        #expect(abs(mean - ImageNet.mean[c] * 255) < 8 && abs(deviation - ImageNet.deviation[c] * 255) < 8)
      }
    }
  }

  @Test func patchesArePartsOfTheOtherImage() throws {
    let white = RGBImage(width: 16, height: 32, pixels: Array(repeating: 255, count: 1536))
    let donor = formulaImage(width: 16, height: 32),
      colors = Set((0..<512).map { Array(donor.pixels[($0 * 3)..<($0 * 3 + 3)]) })
    var transforms = plain
    transforms.patchProbability = 0.5
    var sources: Set<Int> = [], patched = 0
    for position in 0..<400 {
      let patch = transforms.patch(among: 5, seed: 4, epoch: 1, position: position)
      guard let patch else { continue }
      #expect(patch == transforms.patch(among: 5, seed: 4, epoch: 1, position: position))
      (patched, _) = (patched + 1, sources.insert(patch.source))
      let pixels = transforms.augmented(white, seed: 4, epoch: 1, position: position, patch: (patch, donor))
      let strange = (0..<512).map { Array(pixels[($0 * 3)..<($0 * 3 + 3)]) }.filter { $0 != [255, 255, 255] }
      // 1 to 50 % of the area, rounded; corners of turned ones are black.
      #expect((2...290).contains(strange.count))
      #expect(strange.allSatisfy { colors.contains($0) || $0 == [0, 0, 0] })
    }
    #expect(sources == Set(0..<5) && (160...240).contains(patched))
    #expect(transforms.patch(among: 0, seed: 4, epoch: 1, position: 3) == nil)
  }

  // MARK: - Ranks and threads

  private func everything() -> Transforms {
    var transforms = Transforms(height: 32, width: 16, erasingProbability: 0.5), policy = PolicyOptions()
    policy.probability = 0.5
    transforms.autoAugment = .imagenet(policy)
    transforms.colorJitter = ColorJitter(.uniform)
    (transforms.grayProbability, transforms.patchProbability, transforms.erasingFill) = (0.3, 0.7, .noise)
    (transforms.rollProbability, transforms.sectors) = (0.5, SectorDropout(.band))
    var lines = GridOptions()
    (lines.probability, lines.least, lines.most) = (0.5, 4, 9)
    (transforms.rotation, transforms.grid, transforms.partProbability) = (RandomRotation(.uniform), .lines(lines), 0.5)
    var mixes = MixOptions()
    (mixes.alpha, mixes.probability) = (0.6, 0.7)
    transforms.mixUp = .beta(mixes)
    return transforms
  }

  /// A batch of 12, shared out among 1 to 4 ranks with 1 to 3 threads each.
  @Test func anyNumberOfRanksAndThreadsGivesTheSamePixels() throws {
    try withFolder { folder in
      let samples = try pictures(folder, 12, width: 20, height: 40)
      let transforms = everything()
      struct Row: Equatable { let pixels: [UInt8], part: BodyPart, mixed: ImageBatch.Mixed? }
      func rows(ranks: Int, threads: Int) throws -> [Row] {
        try (0..<ranks).flatMap { rank in
          let own = (rank * 12 / ranks)..<((rank + 1) * 12 / ranks)
          let loader = BatchLoader(threads: threads, seed: 9)
          var request = BatchRequest(
            samples: Array(samples[own]), positions: own.map { 36 + $0 }, epoch: 2, transforms: transforms,
            augment: true)
          (request.donors, request.firstDonor) = (samples, 36)
          loader.submit(request)
          let batch = try loader.next(), size = batch.height * batch.width * 3
          return batch.mixes.enumerated().map { row, mixed in
            Row(
              pixels: Array(batch.pixels[row * size..<(row + 1) * size]), part: batch.parts[row], mixed: mixed)
          }
        }
      }
      let reference = try rows(ranks: 1, threads: 1)
      #expect((4...11).contains(reference.count { $0.mixed != nil }))
      for (ranks, threads) in [(1, 3), (2, 1), (3, 2), (4, 1)] {
        #expect(try rows(ranks: ranks, threads: threads) == reference)
      }
    }
  }

  /// Both as they are without mixup, each by its own place in the sequence.
  @Test func mixedImagesAreMeansOfTwo() throws {
    try withFolder { folder in
      let samples = try pictures(folder, 6, width: 20, height: 40)
      func batch(_ mixUp: MixUp) throws -> ImageBatch {
        var transforms = everything()
        transforms.mixUp = mixUp
        let loader = BatchLoader(seed: 9)
        var request = BatchRequest(
          samples: samples, positions: (12..<18).map { $0 }, epoch: 1, transforms: transforms, augment: true)
        (request.donors, request.firstDonor) = (samples, 12)
        loader.submit(request)
        return try loader.next()
      }
      let mixed = try batch(MixUp(.beta)), plain = try batch(MixUp(.none)), size = 32 * 16 * 3
      #expect(plain.mixes.allSatisfy { $0 == nil })
      for row in 0..<6 {
        let mix = try #require(mixed.mixes[row])
        #expect((0...1).contains(mix.share))
        for index in 0..<size {
          let own = Double(plain.pixels[row * size + index])
          let other = Double(plain.pixels[mix.sample.identity * size + index])
          let mean = (1 - mix.share) * own + mix.share * other
          #expect(abs(Double(mixed.pixels[row * size + index]) - mean) < 0.5 + 1e-9)
        }
      }
    }
  }

  /// Mean 1/2, variance 1 / (4 (2α + 1)).
  @Test(arguments: [0.1, 0.2, 1, 4]) func sharesFollowTheBetaDistribution(alpha: Double) {
    var transforms = plain, options = MixOptions(), sum = 0.0, squares = 0.0, sources: Set<Int> = []
    options.alpha = alpha
    transforms.mixUp = .beta(options)
    let count = 20_000
    for position in 0..<count {
      guard let mix = transforms.mix(among: 7, seed: 5, epoch: 2, position: position) else { continue }
      sum += mix.share
      squares += (mix.share - 0.5) * (mix.share - 0.5)
      sources.insert(mix.source)
    }
    #expect(abs(sum / Double(count) - 0.5) < 0.015)
    let variance = 1 / (4 * (2 * alpha + 1))
    #expect(abs(squares / Double(count) / variance - 1) < 0.04)
    #expect(sources == Set(0..<7))
  }

  /// A patch's image that is damaged is reported where it is itself in the batch, and gives no patch.
  @Test func damagedDonorsGiveNothing() throws {
    try withFolder { folder in
      try put("no image", folder + "/bad.jpg")
      try ImageCodec.write(smoothImage(width: 20, height: 40), quality: 90, path: folder + "/good.jpg")
      let good = Sample(path: folder + "/good.jpg", identity: 1, camera: 1)
      var transforms = plain
      transforms.patchProbability = 1
      transforms.mixUp = MixUp(.beta)
      let batch = try read(good, donor: folder + "/bad.jpg", transforms)
      let whole = transforms.evaluation(try ImageCodec.decode(path: good.path))
      #expect(batch.damaged.isEmpty && batch.pixels == whole && batch.mixes == [nil])
      let missing = failure { _ = try read(good, donor: folder + "/none.jpg", transforms) }
      #expect(missing.kind == .data && missing.message == "\(folder)/none.jpg: No such file or directory")
    }
  }

  private func read(_ good: Sample, donor path: String, _ transforms: Transforms) throws -> ImageBatch {
    let loader = BatchLoader(seed: 9)
    var request = BatchRequest(samples: [good], transforms: transforms, augment: true)
    request.donors = [Sample(path: path, identity: 2, camera: 1)]
    loader.submit(request)
    return try loader.next()
  }
}
