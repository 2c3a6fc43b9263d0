import Evaluation
import Storage
import Tensors

/// FAISS's own file of a flat index (`faiss.write_index`, `impl/index_write.cpp`): `IndexFlatIP` for the cosine, whose rows have
/// unit length, `IndexFlatL2` for the Euclidean distance.
///
///     char[4] "IxFI" or "IxF2"; int32 columns; int64 rows; int64 twice that mean nothing; uint8 trained; int32 metric;
///     uint64 elements; float32 elements
enum FAISSFile {
  static func write(_ features: some FeatureRows, _ metric: DistanceMetric, to path: String) throws {
    let (rows, columns) = (features.rows, features.columns)
    var header = Array((metric == .cosine ? "IxFI" : "IxF2").utf8)
    func append(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { header += $0 }
    }
    append(Int32(columns))
    append(Int64(rows))
    for _ in 0..<2 { append(Int64(1 << 20)) }
    append(UInt8(1))
    append(Int32(metric == .cosine ? 0 : 1))
    append(UInt64(rows * columns))
    try AtomicFiles.write(to: path, synced: false) { file in
      try header.withUnsafeBytes { try file.write($0) }
      let part = 1024
      var values = [Float](repeating: 0, count: min(rows, part) * columns)
      for first in stride(from: 0, to: rows, by: part) {
        let range = first..<min(rows, first + part)
        try values.withUnsafeMutableBufferPointer { values in
          guard let base = values.baseAddress else { return }
          try features.read(range, into: base)
          try file.write(UnsafeRawBufferPointer(start: base, count: range.count * columns * 4))
        }
      }
    }
  }
}
