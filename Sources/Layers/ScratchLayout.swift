/// Where pieces of a worker's scratch stand: each begins a cache line, at least one behind the end of the one before, so that what
/// a vector reads beyond a piece is scratch too.
struct ScratchLayout {
  /// In bytes, of each piece, and of all together.
  let offsets: [Int], bytes: Int

  /// - Parameter sizes: in bytes.
  init(_ sizes: [Int]) {
    var offsets: [Int] = [], end = 0
    for size in sizes {
      offsets.append(end)
      end += (size + 127) / 64 * 64
    }
    (self.offsets, bytes) = (offsets, end)
  }
}
