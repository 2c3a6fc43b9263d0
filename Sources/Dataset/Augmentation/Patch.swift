import Tensors

/// Random patch: a part of another image hides a part of this one (Zhou et al., "Omni-scale feature learning for person
/// re-identification", ICCV 2019; torchreid's RandomPatch).
///
/// torchreid keeps a pool of patches of up to 50 000 images that its loader saw before, which depends on how many loaders there
/// are and in which order they come to their images. Here the patch is from an image of the same batch, as it is resized for
/// evaluation; so the first hundred images of a run get patches too, and the image is read once more for it. Sizes,
/// mirroring and turning are torchreid's: 1–50 % of the area, height to width 0.1–10, turned every second time by up to 10° with
/// black corners.
package struct Patch: Sendable, Equatable {
  /// The index of the image it is from.
  package let source: Int
  let part: Rectangle, top: Int, left: Int
  let isMirrored: Bool, degrees: Int

  /// Drawn in the order source, size (attempts), its place there, its place here, mirrored, turned, by how much.
  static func drawn(among count: Int, within height: Int, _ width: Int, _ random: inout CounterRandom) -> Patch? {
    let source = random.integer(below: count)
    guard let part = Rectangle.drawn(within: height, width, area: 0.01...0.5, aspect: 0.1, &random) else { return nil }
    let top = random.integer(below: height - part.height + 1), left = random.integer(below: width - part.width + 1)
    let isMirrored = random.uniform() < 0.5, turns = random.uniform() < 0.5
    let degrees = turns ? random.integer(below: 21) - 10 : 0
    return Patch(source: source, part: part, top: top, left: left, isMirrored: isMirrored, degrees: degrees)
  }

  /// Both images are of the input's size.
  func put(_ donor: RGBImage, on image: inout RGBImage) {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(part.height * part.width * 3)
    for y in part.top..<(part.top + part.height) {
      let start = (y * donor.width + part.left) * 3
      pixels += donor.pixels[start..<(start + part.width * 3)]
    }
    var patch = RGBImage(width: part.width, height: part.height, pixels: pixels)
    if isMirrored { Mirror.rows(&patch.pixels, width: patch.width) }
    patch.rotate(degrees: Double(degrees), fill: 0)
    for y in 0..<part.height {
      let target = ((top + y) * image.width + left) * 3, source = y * part.width * 3, count = part.width * 3
      image.pixels.replaceSubrange(target..<(target + count), with: patch.pixels[source..<(source + count)])
    }
  }
}
