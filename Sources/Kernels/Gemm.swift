import CKernels
import Tensors

/// A GEMM and the layout of its operands: accumulators, or bfloat16 in one plane or split in two (x = hi + lo).
///
/// The left matrix is given by pointers to its rows, in scratch; `plane` bytes behind each element stands its lo. The right
/// one stands in *panels* of `panelWidth` columns. Rows of panels come in runs, one a call; each run is filled up to
/// `padded(depth:)`.
package struct Gemm: Sendable {
  /// What operands are made of.
  package enum Format: Sendable {
    /// Accumulators.
    case wide
    /// bfloat16, to the nearest even.
    case bfloat16
    /// Two planes of bfloat16, x = hi + lo to 16 bits: float16 exactly.
    case split
  }

  package let format: Format
  private let kernels: lineup_gemm
  private nonisolated(unsafe) let elementwise: UnsafePointer<lineup_elementwise>
  package let accumulatorBytes: Int
  /// Bytes of an element of an operand, in one plane.
  package let elementBytes: Int
  package let planes: Int
  /// Whether weights are rounded to bfloat16 although the operands are accumulators.
  private let roundsWeights: Bool

  init(
    _ kernels: lineup_gemm, _ elementwise: UnsafePointer<lineup_elementwise>, accumulatorBytes: Int,
    _ multiplication: Multiplication
  ) {
    format =
      switch kernels.format {
      case LINEUP_BFLOAT16: .bfloat16
      case LINEUP_SPLIT: .split
      default: .wide
      }
    self.kernels = kernels
    self.elementwise = elementwise
    self.accumulatorBytes = accumulatorBytes
    elementBytes = format == .wide ? accumulatorBytes : 2
    planes = format == .split ? 2 : 1
    roundsWeights = format == .wide && multiplication == .bfloat16
  }

  /// What it multiplies, for the log.
  package var operands: String {
    switch format {
    case .bfloat16: "bfloat16"
    case .split: "bfloat16 hi + lo"
    case .wide: accumulatorBytes == 8 ? "float64" : "float32"
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
    guard format != .wide else { return depth }
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
    if format == .wide {
      elementwise.pointee.pack(w, k, n, rowStride, columnStride, width, panelRows, row, roundsWeights ? 1 : 0, panels)
    } else {
      elementwise.pointee.pack_bfloat16(
        w, k, n, rowStride, columnStride, planes, panelRows, row, panels.assumingMemoryBound(to: UInt16.self))
    }
  }

  /// Packs `count` rows of n accumulators, ld apart, from row `row` on; rows behind them may be zeroed up to a padded depth.
  package func packRows(
    _ rows: UnsafeRawPointer, ld: Int, _ count: Int, _ n: Int, width: Int, panelRows: Int, row: Int,
    into panels: UnsafeMutableRawPointer
  ) {
    if format == .wide {
      elementwise.pointee.pack_rows(rows, ld, count, n, width, panelRows, row, panels)
    } else {
      elementwise.pointee.pack_rows_bfloat16(
        rows, ld, count, n, planes, panelRows, row, panels.assumingMemoryBound(to: UInt16.self))
    }
  }

  /// The operand at `count` pixels of `image` from `pixel` (of all images) on, as elements of a left matrix.
  package func read<E: Element>(
    _ operand: OperandView<E>, image: Int, pixel: Int, _ count: Int, channels: Int,
    into elements: UnsafeMutableRawPointer, plane: Int
  ) {
    operand.pointers.withImage(image) { operand in
      if format == .wide {
        elementwise.pointee.read(operand, pixel, count, channels, elements)
      } else {
        let high = elements.assumingMemoryBound(to: UInt16.self)
        let low = planes > 1 ? (elements + plane).assumingMemoryBound(to: UInt16.self) : nil
        elementwise.pointee.read_bfloat16(operand, pixel, count, channels, high, low)
      }
    }
  }

  /// Zeroes `bytes` bytes of every plane.
  package func clear(_ elements: UnsafeMutableRawPointer, bytes: Int, plane: Int) {
    for index in 0..<planes {
      (elements + index * plane).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    }
  }

  /// Rows that one micro-tile takes.
  package var rowQuantum: Int { kernels.row_quantum }

  /// The left matrix of a call: pointers to its rows, of which elements from `offset` on are used.
  package struct Rows {
    let pointers: UnsafePointer<UnsafeRawPointer?>, count: Int, offset: Int, plane: Int

    package init(_ pointers: UnsafePointer<UnsafeRawPointer?>, count: Int, offset: Int, plane: Int) {
      (self.pointers, self.count, self.offset, self.plane) = (pointers, count, offset, plane)
    }
  }

  /// The right matrix of a call: panels of `rows` rows, of which those from `first` on are used.
  package struct Panels {
    let pointer: UnsafeRawPointer, rows: Int, first: Int

    package init(_ pointer: UnsafeRawPointer, rows: Int, first: Int = 0) {
      (self.pointer, self.rows, self.first) = (pointer, rows, first)
    }
  }

  /// c (rows × `columns` accumulators, `ld` apart; columns up to whole panels are written) = or += Σ over k below `depth` of
  /// row[k] · panel row k.
  package func multiply(
    _ left: Rows, _ right: Panels, columns: Int, depth: Int, accumulates: Bool, into c: UnsafeMutableRawPointer,
    ld: Int,
    workspace: UnsafeMutableRawPointer
  ) {
    kernels.multiply(
      left.pointers, left.plane, left.count, left.offset, right.pointer, right.rows, right.first, columns, depth,
      accumulates ? 1 : 0, c, ld, workspace)
  }

  /// c (`depth` × `columns` accumulators, `ld` apart) = or += Σ over rows of row[i] ⊗ its panel row.
  package func multiplyTransposed(
    _ left: Rows, _ right: Panels, columns: Int, depth: Int, accumulates: Bool, into c: UnsafeMutableRawPointer,
    ld: Int,
    workspace: UnsafeMutableRawPointer
  ) {
    precondition(right.first == 0)
    kernels.multiply_transposed(
      left.pointers, left.plane, left.count, left.offset, right.pointer, right.rows, columns, depth,
      accumulates ? 1 : 0,
      c, ld, workspace)
  }

  /// Bytes of workspace, aligned to 64, that a call needs.
  package func workspaceBytes(rows: Int, columns: Int, depth: Int) -> Int { kernels.workspace(rows, columns, depth) }
}
