import Dataset
import Testing

/// Golden values: `Image.fromarray(a).resize((w, h), Image.BILINEAR)` of Pillow 13 with `formulaImage` as `a`.
@Suite struct ResamplingTests {
  @Test(arguments: [
    (
      5, 4, 3, 2,
      [67, 112, 122, 148, 138, 74, 82, 79, 187, 148, 151, 104, 121, 126, 114, 49, 78, 144] as [UInt8]
    ),
    (
      3, 2, 4, 5,
      [
        0, 10, 26, 30, 51, 85, 90, 125, 77, 161, 207, 3, 6, 23, 44, 31, 58, 96, 84, 125, 91, 149, 201, 28, 31, 73, 116,
        35, 85, 143, 62, 124, 147, 103, 176, 127, 55, 123, 188, 38, 112, 189, 39, 122, 203, 57, 151, 226, 61, 136, 206,
        39, 119, 200, 33, 122, 217, 45, 145, 251,
      ]
    ),
    // Here Pillow takes the columns first.
    (2, 6, 3, 2, [80, 135, 70, 78, 128, 120, 75, 121, 170, 126, 115, 140, 149, 113, 147, 171, 110, 154]),
    (
      4, 3, 4, 2,
      [
        10, 47, 90, 47, 102, 170, 141, 214, 41, 126, 128, 129, 102, 76, 209, 96, 81, 232, 140, 143, 60, 235, 160, 98,
      ]
    ),
    (1, 1, 3, 2, [0, 10, 26, 0, 10, 26, 0, 10, 26, 0, 10, 26, 0, 10, 26, 0, 10, 26]),
  ])
  func smallImagesEqualPillow(width: Int, height: Int, newWidth: Int, newHeight: Int, expected: [UInt8]) {
    let result = Resampling.resize(formulaImage(width: width, height: height), width: newWidth, height: newHeight)
    #expect(result.width == newWidth && result.height == newHeight)
    #expect(result.pixels == expected)
  }

  @Test(arguments: [
    (64, 128, 144, 288, 0x960e_2640_30f9_7397 as UInt64), (64, 128, 128, 256, 0x345d_eab9_3561_102a),
    (150, 400, 128, 256, 0xe1aa_618c_8324_0dd3), (150, 400, 64, 128, 0x7247_7198_9840_0801),
    (33, 97, 128, 64, 0xea02_ba0e_7477_436a), (640, 48, 37, 256, 0xa231_e7d5_120b_e325),
    (3, 1200, 64, 128, 0xef9c_cf2a_e3cf_4f81),
  ])
  func digestsOfLargeImagesEqualPillows(
    width: Int, height: Int, newWidth: Int, newHeight: Int, expected: UInt64
  ) {
    let result = Resampling.resize(formulaImage(width: width, height: height), width: newWidth, height: newHeight)
    // FNV-1a.
    let digest = result.pixels.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    #expect(digest == expected)
  }

  @Test func sameSizeIsTheSameImage() {
    let image = formulaImage(width: 7, height: 9)
    #expect(Resampling.resize(image, width: 7, height: 9) == image)
  }

  @Test func mirroringSwapsColumnsAndIsItsOwnInverse() {
    let image = formulaImage(width: 5, height: 3)
    let mirrored = image.mirrored()
    for y in 0..<3 {
      for x in 0..<5 {
        let left = (y * 5 + x) * 3, right = (y * 5 + 4 - x) * 3
        #expect(mirrored.pixels[left..<left + 3] == image.pixels[right..<right + 3])
      }
    }
    #expect(mirrored.mirrored() == image)
  }
}
