import Tensors

/// A distance for each gallery image, over the bits that tell it from its neighbours (Kawamura, Kubota: "Sample-Dependent
/// Distance for 1 : N Identification via Discriminative Feature Selection", ICPR 2020; reconstructed from the abstract).
///
/// - Bits: b = [x > median], by the medians of other features (of the training images), or of the gallery's.
/// - Of gallery image g with its k nearest N(g) of the others by the Hamming distance: c_j = |g_j − mean_N b_j|. The mask
///   m_g has the M bits of largest c.
/// - d(q, g) = Σ_j m_gj |q_j − g_j| / M.
///
/// It orders the first 100 images of a query's ranking by another distance; those behind stay as they are. Of equal
/// distances or c the lower index goes first. With M of all bits it is the Hamming distance.
package struct SampleDependentDistance: DistanceRows {
  package struct Settings: Sendable, Equatable {
    /// k, the neighbours that a gallery image must be told from.
    package let neighbours: Int
    /// M, the bits of a mask; nil for half of them.
    package let bits: Int?
    /// The median of each element over other features, those of the training images; nil for the gallery's own. (columns)
    package let thresholds: [Double]?

    /// - Throws: `Failure.usage` for a value out of range.
    package init(neighbours: Int = 20, bits: Int? = nil, thresholds: [Double]? = nil) throws {
      guard (1...10_000).contains(neighbours) else {
        throw Failure.usage("masks: \(neighbours) neighbours; expected 1 to 10000")
      }
      if let bits, bits < 1 { throw Failure.usage("masks: \(bits) bits; expected 1 or more") }
      (self.neighbours, self.bits, self.thresholds) = (neighbours, bits, thresholds)
    }

    /// - Throws: `Failure.usage` where a mask has more bits than `features` have elements, `Failure.data` where the thresholds
    ///   do not fit them.
    package func check(_ features: LabelledFeatures) throws {
      let columns = features.matrix.columns
      if let bits, bits > columns {
        throw Failure.usage("masks: \(bits) bits, but the vectors of \(features.name) have \(columns) elements")
      }
      if let thresholds, thresholds.count != columns {
        throw Failure.data(
          features.name, "vectors of \(columns) elements, but those with the medians have \(thresholds.count)")
      }
    }
  }

  /// The images of a ranking that are ordered anew.
  package static let first = 100

  private let distances: Distances
  private let query: BinaryFeatures, gallery: BinaryFeatures, masks: BinaryFeatures
  private let bits: Double

  package var queryCount: Int { distances.queryCount }
  package var galleryCount: Int { distances.galleryCount }

  /// Makes the masks, of which each process of `shares` takes its rows: as many comparisons as pairs in the gallery.
  ///
  /// - Parameter distances: of these features, the ranking before.
  /// - Throws: what `Settings.check` and `shares` throw.
  package init(
    query: LabelledFeatures, gallery: LabelledFeatures, distances: Distances, _ settings: Settings,
    shares: some RowShares = WholeShare(), parallelFor: ParallelFor = runSerially
  ) throws {
    let columns = gallery.matrix.columns
    try settings.check(gallery)
    let medians = settings.thresholds ?? gallery.matrix.medians(parallelFor: parallelFor)
    let images = BinaryFeatures(gallery.matrix, above: medians), bits = settings.bits ?? max(1, columns / 2)
    let jobs = blocks(of: shares.own(images.rows), size: 64)
    let made = parallelMap(jobs.count, parallelFor) { job in
      jobs[job].flatMap { Self.mask(of: $0, in: images, neighbours: settings.neighbours, bits: bits) }
    }
    let masks = try shares.gather(Array(made.joined()))
    self.query = BinaryFeatures(query.matrix, above: medians)
    self.gallery = images
    self.masks = BinaryFeatures(rows: images.rows, columns: columns, bits: masks)
    self.bits = Double(bits)
    self.distances = distances
  }

  /// Distances as they were, and of the first images those by the masks, less 2: below all others.
  package func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void) {
    let masked = UnsafeMutableBufferPointer<Double>.allocate(capacity: galleryCount)
    defer { masked.deallocate() }
    distances.forEachRow(of: queries) { query, row in
      _ = masked.update(from: row)
      for index in NearestNeighbours.nearest(min(Self.first, row.count), in: row) {
        let index = Int(index), differing = self.query.hamming(query, gallery, index, within: masks)
        masked[index] = Double(differing) / bits - 2
      }
      body(query, UnsafeBufferPointer(masked))
    }
  }

  /// The mask of a row as words.
  private static func mask(of row: Int, in images: BinaryFeatures, neighbours: Int, bits: Int) -> [UInt64] {
    // Farther than any other, so that it is nobody's neighbour of its own.
    let distances = (0..<images.rows).map { $0 == row ? .infinity : Double(images.hamming(row, images, $0)) }
    let nearest = distances.withUnsafeBufferPointer {
      NearestNeighbours.nearest(min(neighbours, images.rows - 1), in: $0)
    }
    // k·c_j, a whole number: the neighbours that differ from the image in bit j.
    var differing = [Int](repeating: 0, count: images.columns)
    for other in nearest {
      for index in 0..<images.words {
        var difference = images.word(row, index) ^ images.word(Int(other), index)
        while difference != 0 {
          differing[index * 64 + difference.trailingZeroBitCount] += 1
          difference &= difference - 1
        }
      }
    }
    // How many bits have each count; those with the least that still fits are taken from the lowest on.
    var counts = [Int](repeating: 0, count: nearest.count + 1)
    for count in differing { counts[count] += 1 }
    var least = nearest.count, left = bits
    while counts[least] < left {
      left -= counts[least]
      least -= 1
    }
    var mask = [UInt64](repeating: 0, count: images.words)
    for (column, count) in differing.enumerated() where count >= least {
      if count == least {
        if left == 0 { continue }
        left -= 1
      }
      mask[column / 64] |= 1 << UInt64(column % 64)
    }
    return mask
  }
}
