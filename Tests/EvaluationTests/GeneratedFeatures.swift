import Evaluation

/// A linear congruential generator (Knuth's MMIX constants), so that NumPy can make the same numbers.
struct Generator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  /// 24 bits.
  mutating func bits() -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 40)
  }

  mutating func next() -> UInt64 { UInt64(bits()) << 48 ^ UInt64(bits()) << 24 ^ UInt64(bits()) }

  /// −0.5 ..< 0.5
  mutating func uniform() -> Double { Double(bits()) / 16_777_216 - 0.5 }
}

/// Features about a centre for each identity: −1 (junk), 0 (distractors), 1, …; identity 2 is seen by camera 1 only.
/// The last `copies` rows are copies of the first. The golden numbers were made by NumPy from the same features.
func generatedFeatures(
  seed: UInt64, rows: Int, columns: Int, identities count: Int, cameras cameraCount: Int = 3, copies: Int = 0
) throws -> LabelledFeatures {
  var generator = Generator(seed)
  let identities = (0..<rows).map { _ in Int(generator.bits() % count - 1) }
  let cameras = (0..<rows).map { row in
    let camera = Int(generator.bits() % cameraCount + 1)
    return identities[row] == 2 ? 1 : camera
  }
  var values: [Float] = []
  for row in 0..<rows {
    for column in 0..<columns {
      let step = Int(identities[row]) * 7 + column * 3
      let centre = Double((step % 5 + 5) % 5 - 2) * 0.25 * 0.7
      values.append(Float(centre + generator.uniform() + 3))
    }
  }
  for copy in 0..<copies {
    for column in 0..<columns { values[(rows - 1 - copy) * columns + column] = values[copy * columns + column] }
  }
  return try labelled(values, columns: columns, identities: identities, cameras: cameras)
}

/// Features of the given rows (row-major).
func labelled(
  _ values: [Float], columns: Int, identities: [Int], cameras: [Int], name: String = "features"
) throws -> LabelledFeatures {
  try LabelledFeatures(
    name: name, matrix: FeatureMatrix(rows: identities.count, columns: columns, values: values),
    paths: identities.indices.map { "\($0).jpg" }, identities: identities, cameras: cameras)
}

/// Distances given as numbers.
struct GivenDistances: DistanceRows {
  let rows: [[Double]]
  var queryCount: Int { rows.count }
  var galleryCount: Int { rows[0].count }

  func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void) {
    for query in queries { rows[query].withUnsafeBufferPointer { body(query, $0) } }
  }
}

extension DistanceRows {
  /// All rows at once.
  func matrix() -> [[Double]] {
    var rows: [[Double]] = []
    forEachRow(of: 0..<queryCount) { query, row in
      precondition(query == rows.count)
      rows.append(Array(row))
    }
    return rows
  }
}
