import CKernels
import Tensors

/// A GEMM and the layout of its operands: accumulators, or bfloat16 in one plane or split in two (x = hi + lo).
///
/// The left matrix is given by pointers to its rows, in scratch; `plane` bytes behind each element stands its lo. The right
/// one stands in *panels* of `panelWidth` columns. Rows of panels come in runs, one a call; each run is filled up to
/// `padded(depth:)`.
package struct Gemm: Sendable {
  package let kernels: lineup_gemm
  private let elementwise: lineup_elementwise
  package let accumulatorBytes: Int
  /// Bytes of an element of an operand, in one plane.
  package let elementBytes: Int
  package let planes: Int
  /// Whether weights are rounded to bfloat16 although the operands are accumulators.
  private let roundsWeights: Bool

  init(
    _ kernels: lineup_gemm, _ elementwise: lineup_elementwise, accumulatorBytes: Int, _ multiplication: Multiplication
  ) {
    self.kernels = kernels
    self.elementwise = elementwise
    self.accumulatorBytes = accumulatorBytes
    let isWide = kernels.format == LINEUP_WIDE
    elementBytes = isWide ? accumulatorBytes : 2
    planes = kernels.format == LINEUP_SPLIT ? 2 : 1
    roundsWeights = isWide && multiplication == .bfloat16
  }

  /// What it multiplies, for the log.
  package var operands: String {
    switch kernels.format {
    case LINEUP_BFLOAT16: "bfloat16"
    case LINEUP_SPLIT: "bfloat16 hi + lo"
    default: accumulatorBytes == 8 ? "float64" : "float32"
    }
  }

  /// Whether the result of a row depends on nothing but the row, so that a call may take the rows of several images.
  package var isIndependentOfRows: Bool { kernels.panel_width > 0 }

  /// Columns of a panel of a matrix of `columns` columns.
  package func panelWidth(columns: Int) -> Int { kernels.panel_width == 0 ? columns : kernels.panel_width }

  /// `columns` filled up to whole panels.
  package func padded(columns: Int) -> Int {
    let width = panelWidth(columns: columns)
    return (columns + width - 1) / max(1, width) * width
  }

  /// The rows of panels that a run of `depth` takes.
  package func padded(depth: Int) -> Int {
    guard kernels.format != LINEUP_WIDE else { return depth }
    let quantum = Int(LINEUP_BFLOAT16_DEPTH)
    return (depth + quantum - 1) / quantum * quantum
  }

  /// Bytes of the panels of a matrix, `rows` being a sum of padded runs.
  package func panelBytes(columns: Int, rows: Int) -> Int { padded(columns: columns) * rows * planes * elementBytes }

  /// Where the panel begins whose first column is `column`, a multiple of the panels' width.
  package func panelOffset(column: Int, rows: Int) -> Int { column * rows * planes * elementBytes }

  /// Packs k × n weights w[k·rowStride + n·columnStride] (accumulators), rounded to the storage, from row `row` of panels of
  /// `panelRows` rows on.
  package func pack(
    _ w: UnsafeRawPointer, _ k: Int, _ n: Int, rowStride: Int, columnStride: Int, width: Int, panelRows: Int, row: Int,
    into panels: UnsafeMutableRawPointer
  ) {
    if kernels.format == LINEUP_WIDE {
      elementwise.pack(w, k, n, rowStride, columnStride, width, panelRows, row, roundsWeights ? 1 : 0, panels)
    } else {
      elementwise.pack_bfloat16(
        w, k, n, rowStride, columnStride, planes, panelRows, row, panels.assumingMemoryBound(to: UInt16.self))
    }
  }

  /// Packs `count` rows of n accumulators, ld apart, from row `row` on; rows behind them may be zeroed up to a padded depth.
  package func packRows(
    _ rows: UnsafeRawPointer, ld: Int, _ count: Int, _ n: Int, width: Int, panelRows: Int, row: Int,
    into panels: UnsafeMutableRawPointer
  ) {
    if kernels.format == LINEUP_WIDE {
      elementwise.pack_rows(rows, ld, count, n, width, panelRows, row, panels)
    } else {
      elementwise.pack_rows_bfloat16(
        rows, ld, count, n, planes, panelRows, row, panels.assumingMemoryBound(to: UInt16.self))
    }
  }

  /// The operand at `count` pixels from `pixel` on, as elements of a left matrix.
  package func read(
    _ operand: inout lineup_operand, _ pixel: Int, _ count: Int, _ channels: Int,
    into elements: UnsafeMutableRawPointer, plane: Int
  ) {
    if kernels.format == LINEUP_WIDE {
      elementwise.read(&operand, pixel, count, channels, elements)
    } else {
      let high = elements.assumingMemoryBound(to: UInt16.self)
      let low = planes > 1 ? (elements + plane).assumingMemoryBound(to: UInt16.self) : nil
      elementwise.read_bfloat16(&operand, pixel, count, channels, high, low)
    }
  }

  /// Zeroes `bytes` bytes of every plane.
  package func clear(_ elements: UnsafeMutableRawPointer, bytes: Int, plane: Int) {
    for index in 0..<planes {
      (elements + index * plane).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    }
  }
}
