import Dataset
import Foundation
import Tensors
import Testing

@Suite struct FacesTests {
  /// Where nothing could be blurred, a run says so instead of learning from clear faces; single images may be without.
  @Test func aDataSetWithoutFacesIsRefused() throws {
    let plain = Sample(path: "a", identity: 1, camera: 1)
    let one = Sample(path: "b", identity: 1, camera: 1, face: Rectangle(top: 0, left: 0, height: 2, width: 2))
    try Faces.clear.require(in: [plain], of: "/data", "data.faces.train")
    try Faces.blurred.require(in: [plain, one], of: "/data", "data.faces.train")
    let missing = failure { try Faces.blurred.require(in: [plain, plain], of: "/data", "data.faces.train") }
    #expect(missing.kind == .data)
    #expect(
      missing.message
        == "/data: data.faces.train is blurred, but none of the 2 images has a face (a column of CSV files, x y width height)"
    )
  }

  /// Its definition: the mean of the image under a two-dimensional Gaussian, pixels beyond the border those at it.
  private func blurred(_ image: RGBImage, _ box: Rectangle) -> RGBImage {
    var result = image
    let sigma = Double(min(box.width, box.height)) / 4, reach = Int((4 * sigma).rounded())
    func weight(_ dy: Int, _ dx: Int) -> Double { exp(-Double(dy * dy + dx * dx) / (2 * sigma * sigma)) }
    for y in box.top..<box.top + box.height {
      for x in box.left..<box.left + box.width {
        for channel in 0..<3 {
          var sum = 0.0, weights = 0.0
          for dy in -reach...reach {
            for dx in -reach...reach {
              let row = max(0, min(image.height - 1, y + dy)), column = max(0, min(image.width - 1, x + dx))
              sum += weight(dy, dx) * Double(image.pixels[(row * image.width + column) * 3 + channel])
              weights += weight(dy, dx)
            }
          }
          result.pixels[(y * image.width + x) * 3 + channel] = UInt8(sum / weights + 0.5)
        }
      }
    }
    return result
  }

  @Test func theBlurIsAGaussianWithinTheBoxAlone() {
    let image = formulaImage(width: 30, height: 40)
    for box in [
      Rectangle(top: 5, left: 4, height: 11, width: 8), Rectangle(top: 0, left: 0, height: 9, width: 13),
      Rectangle(top: 30, left: 18, height: 10, width: 12), Rectangle(top: 3, left: 29, height: 4, width: 1),
    ] {
      var seen = image
      seen.blur(box)
      #expect(seen == blurred(image, box))
      for y in 0..<40 {
        for x in 0..<30 where !(box.top..<box.top + box.height ~= y && box.left..<box.left + box.width ~= x) {
          let place = (y * 30 + x) * 3
          #expect(seen.pixels[place..<place + 3] == image.pixels[place..<place + 3])
        }
      }
    }
    var whole = RGBImage(width: 6, height: 6, pixels: Array(repeating: 255, count: 108))
    whole.blur(Rectangle(top: 0, left: 0, height: 6, width: 6))
    #expect(whole.pixels.allSatisfy { $0 == 255 })
  }

  /// Before all else: what is seen of an image, in training and in evaluation, is what would be seen of one whose file has the
  /// face blurred; of patches and partners too.
  @Test func facesAreBlurredBeforeAllElse() throws {
    try withFolder { folder in
      let box = Rectangle(top: 4, left: 5, height: 12, width: 9),
        past = Rectangle(top: -8, left: 5, height: 12, width: 90)
      var clear: [Sample] = [], ready: [Sample] = []
      for (number, face) in [box, past, nil].enumerated() {
        var image = formulaImage(width: 20 + number, height: 40)
        let path = "\(folder)/\(number)"
        try ImageCodec.writePNG(image, path: path + ".png")
        if let face {
          image.blur(
            face == box ? box : Rectangle(top: 0, left: 5, height: 4, width: 15 + number))
        }
        try ImageCodec.writePNG(image, path: path + "-blurred.png")
        clear.append(Sample(path: path + ".png", identity: number, camera: 1, face: face))
        ready.append(Sample(path: path + "-blurred.png", identity: number, camera: 1, face: face))
      }
      var transforms = Transforms(height: 32, width: 16, erasingProbability: 0.5)
      (transforms.patchProbability, transforms.mixUp) = (1, MixUp(.beta))
      func pixels(_ samples: [Sample], _ faces: Faces, augment: Bool) throws -> [UInt8] {
        transforms.faces = faces
        let loader = BatchLoader(seed: 9)
        var request = BatchRequest(samples: samples, transforms: transforms, augment: augment)
        request.donors = samples
        loader.submit(request)
        return try loader.next().pixels
      }
      for augment in [true, false] {
        let seen = try pixels(clear, .blurred, augment: augment)
        #expect(try seen == pixels(ready, .clear, augment: augment))
        #expect(try seen != pixels(clear, .clear, augment: augment))
      }
      transforms.faces = .blurred
      #expect(try transforms.source(clear[0]) == ImageCodec.decode(path: ready[0].path))
    }
  }

  /// A box for another size of the image is a mistake, not a face that is not seen.
  @Test func facesOutsideOfTheImageAreDamage() throws {
    try withFolder { folder in
      let path = folder + "/a.png"
      try ImageCodec.writePNG(formulaImage(width: 20, height: 40), path: path)
      let sample = Sample(
        path: path, identity: 1, camera: 1, face: Rectangle(top: 3, left: 20, height: 4, width: 16_000_000))
      var transforms = Transforms(height: 32, width: 16)
      transforms.faces = .blurred
      let loader = BatchLoader(seed: 1)
      loader.submit(BatchRequest(samples: [sample], transforms: transforms, onDamage: .skip))
      let expected = "\(path): its face 20 3 16000000 4 (x y width height) is outside of the image, 20×40"
      #expect(try loader.next().damaged.map(\.reason) == [expected])
      #expect(failure { _ = try transforms.source(sample) }.message == expected)
      transforms.faces = .clear
      loader.submit(BatchRequest(samples: [sample], transforms: transforms))
      #expect(try loader.next().damaged.isEmpty)
    }
  }
}
