import Dataset
import Tensors
import Testing

@Suite struct TransformsTests {
  private let transforms = Transforms(height: 32, width: 16)

  @Test func evaluationOnlyResizes() {
    let image = formulaImage(width: 20, height: 50)
    #expect(transforms.evaluation(image) == Resampling.resize(image, width: 16, height: 32).pixels)
  }

  @Test func trainingIsACropOfTheEnlargedImagePerhapsMirrored() {
    let image = formulaImage(width: 20, height: 50)
    let enlarged = Resampling.resize(image, width: 18, height: 36)
    func crop(_ image: RGBImage, _ top: Int, _ left: Int) -> [UInt8] {
      (top..<top + 32).flatMap { y in image.pixels[((y * 18 + left) * 3)..<((y * 18 + left + 16) * 3)] }
    }
    var places: [[UInt8]: (top: Int, left: Int, mirrored: Bool)] = [:]
    for top in 0...4 {
      for left in 0...2 {
        let plain = RGBImage(width: 16, height: 32, pixels: crop(enlarged, top, left))
        places[plain.pixels] = (top, left, false)
        places[plain.mirrored().pixels] = (top, left, true)
      }
    }
    var seen: Set<[Int]> = [], mirrored = 0
    for position in 0..<600 {
      let place = places[transforms.augmented(image, seed: 1, epoch: 2, position: position)]
      guard let place else {
        Issue.record("position \(position) gives no crop of the enlarged image")
        continue
      }
      seen.insert([place.top, place.left])
      mirrored += place.mirrored ? 1 : 0
    }
    #expect(seen.count == 15)
    // 300 expected, standard deviation 12.
    #expect(mirrored > 230 && mirrored < 370)
  }

  /// Every place of a frame in the image within its black border, and no other.
  @Test func aPaddedCropIsAPartOfTheImageWithinABorder() throws {
    var transforms = transforms, options = PaddedCrop()
    options.pixels = 3
    (transforms.crop, transforms.flipProbability) = (.pad(options), 0)
    let image = formulaImage(width: 20, height: 50), plain = transforms.evaluation(image)
    var places: [[UInt8]: [Int]] = [:]
    for top in -3...3 {
      for left in -3...3 {
        let pixels = (0..<32).flatMap { y in
          (0..<16).flatMap { x in
            (0..<3).map { c in
              let (row, column) = (y + top, x + left)
              return (0..<32).contains(row) && (0..<16).contains(column) ? plain[(row * 16 + column) * 3 + c] : 0
            }
          }
        }
        places[pixels] = [top, left]
      }
    }
    #expect(places.count == 49)
    let seen = (0..<800).map { places[transforms.augmented(image, seed: 1, epoch: 0, position: $0)] }
    #expect(seen.allSatisfy { $0 != nil } && Set(seen).count == 49)
    options.pixels = 40
    transforms.crop = .pad(options)
    for position in 0..<50 {
      #expect(transforms.augmented(image, seed: 1, epoch: 0, position: position).count == 32 * 16 * 3)
    }
  }

  @Test func aCropMayBeLeftOutOrMadeHalfOfTheTime() {
    var transforms = transforms, options = EnlargedCrop()
    transforms.flipProbability = 0
    let image = formulaImage(width: 20, height: 50), whole = transforms.evaluation(image)
    func count(_ crop: CropChoice) -> Int {
      transforms.crop = crop
      return (0..<400).count { transforms.augmented(image, seed: 2, epoch: 0, position: $0) == whole }
    }
    #expect(count(CropChoice(.none)) == 400 && count(CropChoice(.enlarge)) == 0)
    var border = PaddedCrop()
    #expect(count(.pad(border)) < 10)  // the middle of 21 × 21 places
    border.probability = 0.25
    #expect((260...340).contains(count(.pad(border))))  // 300 expected, standard deviation 9
    options.probability = 0.5
    // 200 expected, standard deviation 10.
    #expect((150...250).contains(count(.enlarge(options))))
  }

  @Test func randomnessIsOfSeedEpochAndPositionAlone() {
    let image = formulaImage(width: 20, height: 50)
    func outputs(seed: UInt64, epoch: Int) -> [[UInt8]] {
      (0..<20).map { transforms.augmented(image, seed: seed, epoch: epoch, position: $0) }
    }
    let reference = outputs(seed: 1, epoch: 2)
    #expect(reference == outputs(seed: 1, epoch: 2))
    #expect(reference != outputs(seed: 2, epoch: 2))
    #expect(reference != outputs(seed: 1, epoch: 3))
    #expect(Set(reference).count > 5)
  }

  @Test func erasingCoversOneRectangleWithinItsBounds() {
    let white = RGBImage(width: 40, height: 80, pixels: Array(repeating: 255, count: 9600))
    let transforms = Transforms(height: 80, width: 40, erasingProbability: 1)
    var erased = 0
    for position in 0..<200 {
      let pixels = transforms.augmented(white, seed: 5, epoch: 0, position: position)
      var rows: Set<Int> = [], columns: Set<Int> = [], count = 0
      for index in 0..<3200 where pixels[index * 3] != 255 {
        #expect(Array(pixels[(index * 3)..<(index * 3 + 3)]) == ImageNet.meanColor)
        rows.insert(index / 40)
        columns.insert(index % 40)
        count += 1
      }
      if count == 0 { continue }
      erased += 1
      let height = rows.max()! - rows.min()! + 1, width = columns.max()! - columns.min()! + 1
      #expect(count == height * width)
      // Rounding of the sides moves area and aspect a little.
      #expect(Double(count) > 0.015 * 3200 && Double(count) < 0.44 * 3200)
      #expect(Double(height) / Double(width) > 0.25 && Double(height) / Double(width) < 4)
    }
    #expect(erased == 200)
    let never = Transforms(height: 80, width: 40).augmented(white, seed: 5, epoch: 0, position: 0)
    #expect(never == white.pixels)
  }

  @Test func meanColorIsTheMean() { #expect(ImageNet.meanColor == [124, 116, 104]) }
}
