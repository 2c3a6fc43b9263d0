import Tensors

/// What becomes of an image before it enters the network, as 8-bit RGB [height][width][3].
package struct Transforms: Sendable, Equatable {
  /// The network's input.
  package let height: Int, width: Int
  /// What becomes of faces, before all else.
  package var faces = Faces.clear
  /// What of the person every image is cut to.
  package var shown = BodyPart.whole
  /// How often a training image is cut to a part of the person before it is cropped.
  package var partProbability = 0.0
  /// What a training image is cropped from, at random.
  package var crop = CropChoice(.enlarge)
  /// How often a training image is mirrored.
  package var flipProbability = 0.5
  package var rotation = RandomRotation(.none)
  /// How often the columns of a training image are turned round its border.
  package var rollProbability = 0.0
  package var autoAugment = AutoAugment(.none)
  package var colorJitter = ColorJitter(.none)
  /// How often a training image is made gray (Pillow's mode L).
  package var grayProbability = 0.0
  /// How often a part of another training image is put on a training image.
  package var patchProbability = 0.0
  package var grid = GridErasing(.none)
  package var sectors = SectorDropout(.none)
  /// How often a rectangle of a training image is covered (Zhong et al., "Random erasing data augmentation", AAAI 2020:
  /// 2–40 % of the area, height to width 0.3–3.33).
  package var erasingProbability = 0.0
  package var erasingFill = ErasingFill.mean
  /// What a training image is mixed with after all that.
  package var mixUp = MixUp(.none)

  package init(height: Int, width: Int, erasingProbability: Double = 0) {
    precondition(height > 0 && width > 0)
    self.height = height
    self.width = width
    self.erasingProbability = erasingProbability
  }

  /// An image as its file has it, with what `faces` says done to it, of which the part that is `shown`: what the others begin with.
  ///
  /// Throws `Failure.data` with the path where the image cannot be read or is damaged, or its face is outside of it.
  package func source(_ sample: Sample) throws -> RGBImage {
    try source(try ImageCodec.decode(path: sample.path), sample)
  }

  /// The same of an image that has been decoded.
  func source(_ image: RGBImage, _ sample: Sample) throws -> RGBImage {
    var image = image
    try faces.apply(to: &image, sample)
    return shown.cropped(image)
  }

  /// For evaluation, and for training without augmentation: resized, nothing else.
  package func evaluation(_ image: RGBImage) -> [UInt8] {
    Resampling.resize(image, width: width, height: height).pixels
  }

  /// The same of each of `samples`, one after the other.
  package func evaluation(of samples: some Sequence<Sample>) throws -> [UInt8] {
    try samples.flatMap { evaluation(try source($0)) }
  }

  /// For training: perhaps a part of the person, cropped, perhaps mirrored, then in this order perhaps rotated, turned round its
  /// border, each of a policy's operations, jittered colours, gray, a patch, a grid, sectors and a rectangle erased.
  ///
  /// A function of the image, `patch` and (seed, epoch, position) alone, `position` being the image's place in the epoch's
  /// sequence of all ranks, so that it does not matter which rank or thread does it. Drawn in the order crop (where it
  /// is not certain), top, left (where there is a choice), mirror, erase, and then the attempts for a rectangle. Everything else
  /// has a stream of random numbers of its own, so that turning one on changes none of the others.
  ///
  /// - Parameter patch: that of `patch(among:seed:epoch:position:)`, with the image it is from.
  package func augmented(
    _ image: RGBImage, seed: UInt64, epoch: Int, position: Int, patch: (place: Patch, donor: RGBImage)? = nil
  ) -> [UInt8] {
    func stream(_ purpose: CounterRandom.Purpose) -> CounterRandom {
      CounterRandom(seed: seed, epoch: epoch, position: position, purpose: purpose)
    }
    var random = stream(.augmentation)
    let source = part(seed: seed, epoch: epoch, position: position).cropped(image)
    var image = RGBImage(width: width, height: height, pixels: cropped(source, &random))
    let flips = random.uniform() < flipProbability
    let erases = random.uniform() < erasingProbability
    if flips { Mirror.rows(&image.pixels, width: width) }
    if rotation.kind != .none {
      var random = stream(.rotation)
      rotation.apply(to: &image, &random)
    }
    if rollProbability > 0 {
      var random = stream(.rolling)
      if random.uniform() < rollProbability { image.roll(by: random.integer(below: width)) }
    }
    if autoAugment.kind != .none {
      var random = stream(.policy)
      autoAugment.apply(to: &image, &random)
    }
    if colorJitter.kind != .none {
      var random = stream(.color)
      colorJitter.apply(to: &image, &random)
    }
    if grayProbability > 0 {
      var random = stream(.gray)
      if random.uniform() < grayProbability { image.removeColor() }
    }
    if let patch {
      patch.place.put(Resampling.resize(patch.donor, width: width, height: height), on: &image)
    }
    if grid.kind != .none {
      var random = stream(.grid)
      grid.apply(to: &image, erasingFill, &random)
    }
    if sectors.kind != .none {
      var random = stream(.sectors)
      sectors.apply(to: &image, erasingFill, &random)
    }
    if erases, let hole = Rectangle.drawn(within: height, width, area: 0.02...0.4, aspect: 0.3, &random) {
      var random = stream(.erasure)
      erasingFill.cover(hole, of: &image, &random)
    }
    return image.pixels
  }

  /// What of the person the training image at `position` shows.
  package func part(seed: UInt64, epoch: Int, position: Int) -> BodyPart {
    guard partProbability > 0 else { return .whole }
    var random = CounterRandom(seed: seed, epoch: epoch, position: position, purpose: .parts)
    return random.uniform() < partProbability ? BodyPart.drawn(&random) : .whole
  }

  /// The patch that the image at `position` gets from one of `count` others; nil where it gets none.
  package func patch(among count: Int, seed: UInt64, epoch: Int, position: Int) -> Patch? {
    guard patchProbability > 0, count > 0 else { return nil }
    var random = CounterRandom(seed: seed, epoch: epoch, position: position, purpose: .patch)
    guard random.uniform() < patchProbability else { return nil }
    return Patch.drawn(among: count, within: height, width, &random)
  }

  /// What the image at `position` is mixed with, of `count` images; nil where it stays alone.
  package func mix(among count: Int, seed: UInt64, epoch: Int, position: Int) -> Mix? {
    var random = CounterRandom(seed: seed, epoch: epoch, position: position, purpose: .mixing)
    return mixUp.drawn(among: count, &random)
  }

  /// A part of the image, of the size of the input.
  private func cropped(_ image: RGBImage, _ random: inout CounterRandom) -> [UInt8] {
    switch crop {
    case .none: return evaluation(image)
    case .enlarge(let options):
      guard options.probability == 1 || random.uniform() < options.probability else { return evaluation(image) }
      let enlarged = Resampling.resize(
        image, width: max(Int((Double(width) * options.factor).rounded()), width),
        height: max(Int((Double(height) * options.factor).rounded()), height))
      let top = random.integer(below: enlarged.height - height + 1)
      return part(of: enlarged, top: top, left: random.integer(below: enlarged.width - width + 1))
    case .pad(let options):
      guard options.probability == 1 || random.uniform() < options.probability else { return evaluation(image) }
      let plain = Resampling.resize(image, width: width, height: height)
      let top = random.integer(below: 2 * options.pixels + 1) - options.pixels
      return shifted(plain, top: top, left: random.integer(below: 2 * options.pixels + 1) - options.pixels)
    }
  }

  /// What a frame of the input's size sees of an image of that size, `top` rows and `left` columns from its corner; black
  /// beyond.
  private func shifted(_ image: RGBImage, top: Int, left: Int) -> [UInt8] {
    var pixels = [UInt8](repeating: 0, count: height * width * 3)
    let first = max(0, -left), end = min(width, width - left)
    guard first < end else { return pixels }
    for y in max(0, -top)..<max(0, -top, min(height, height - top)) {
      let source = ((y + top) * width + first + left) * 3, target = (y * width + first) * 3, count = (end - first) * 3
      pixels.replaceSubrange(target..<target + count, with: image.pixels[source..<source + count])
    }
    return pixels
  }

  private func part(of image: RGBImage, top: Int, left: Int) -> [UInt8] {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(height * width * 3)
    for y in top..<(top + height) {
      let start = (y * image.width + left) * 3
      pixels += image.pixels[start..<(start + width * 3)]
    }
    return pixels
  }
}
