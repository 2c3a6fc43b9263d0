import Kernels

/// Products of vectors with every row of a gallery in float64. A panel of the gallery is widened anew for each block of
/// vectors, so that the gallery is never held in float64.
struct GalleryProducts: Sendable {
  /// Vectors a block: the memory of one `forEachRow` is about 8 bytes · blockRows · gallery rows.
  static let blockRows = 256
  /// Gallery rows a panel.
  static let panelRows = 128

  let gallery: CentredFeatures
  private let gemm = Kernels<Double>(path: KernelPath.available[0]).gemm

  init(_ gallery: CentredFeatures) { self.gallery = gallery }

  /// Calls `body(index, v·y for every centred row y of the gallery)` for each of `vectors`, ascending, on the caller's
  /// thread. The row may be written to, and is valid only during the call.
  ///
  /// - Parameter write: writes the vectors v of a range, row-major. (range.count, columns)
  func forEachRow(
    of vectors: Range<Int>, write: (_ range: Range<Int>, _ vectors: UnsafeMutablePointer<Double>) -> Void,
    _ body: (_ index: Int, _ row: UnsafeMutableBufferPointer<Double>) -> Void
  ) {
    let width = gallery.matrix.columns, count = gallery.matrix.rows, rows = min(Self.blockRows, vectors.count)
    guard rows > 0 else { return }
    let panelRows = min(Self.panelRows, count), edge = count % Self.panelRows
    // A GEMM writes whole panels, here behind the end of a row.
    let ld = count - edge + gemm.padded(columns: edge)
    let block = UnsafeMutableBufferPointer<Double>.allocate(capacity: rows * ld)
    let left = UnsafeMutableBufferPointer<Double>.allocate(capacity: rows * width)
    let right = UnsafeMutableBufferPointer<Double>.allocate(capacity: panelRows * width)
    let panels = UnsafeMutableRawPointer.allocate(
      byteCount: gemm.panelBytes(columns: panelRows, rows: width), alignment: 64)
    let workspace = UnsafeMutableRawPointer.allocate(
      byteCount: gemm.workspaceBytes(rows: rows, columns: panelRows, depth: width), alignment: 64)
    defer {
      block.deallocate()
      left.deallocate()
      right.deallocate()
      panels.deallocate()
      workspace.deallocate()
    }
    let pointers = (0..<rows).map { UnsafeRawPointer(left.baseAddress! + $0 * width) as UnsafeRawPointer? }
    for part in blocks(of: vectors, size: Self.blockRows) {
      write(part, left.baseAddress!)
      for panel in blocks(of: 0..<count, size: Self.panelRows) {
        gallery.write(panel, to: right.baseAddress!)
        gemm.pack(
          right.baseAddress!, width, panel.count, rowStride: 1, columnStride: width,
          width: gemm.panelWidth(columns: panel.count), panelRows: width, row: 0, into: panels)
        pointers.withUnsafeBufferPointer { pointers in
          gemm.multiply(
            .init(pointers.baseAddress!, count: part.count, offset: 0, plane: 0), .init(panels, rows: width),
            columns: panel.count, depth: width, accumulates: false, into: block.baseAddress! + panel.lowerBound, ld: ld,
            workspace: workspace)
        }
      }
      for (row, index) in part.enumerated() {
        body(index, UnsafeMutableBufferPointer(rebasing: block[row * ld..<row * ld + count]))
      }
    }
  }
}
