import Kernels
import Tensors

/// The weights of a convolution as its passes multiply with them.
///
/// Where a backward pass may follow, a pass has its weights packed when it begins and gives their memory back when it ends: those of all
/// layers at once would be a seventh of the memory of MSFL's step. Tangent passes, and every use of weights that are shared, pack anew. An
/// evaluation sends batch after batch through the same weights and keeps them.
final class WorkingWeights<E: Element> {
  typealias A = E.Accumulator

  /// Weights packed for a pass: in panels of the GEMM, or transformed for Winograd's filtering, [ξ][panel][row][width].
  struct Packed {
    fileprivate let block: Arena.Block
    let bytes: Int

    fileprivate init(bytes: Int, in arena: Arena) { (block, self.bytes) = (arena.block(bytes: bytes), bytes) }

    var panels: UnsafeRawPointer { UnsafeRawPointer(block.pointer) }
    var tiles: UnsafePointer<Float> { UnsafePointer(block.pointer.assumingMemoryBound(to: Float.self)) }
  }

  let slot: ParameterLayout.Slot
  /// What the weights go through before they are used, if anything.
  let transform: (any WeightTransform)?
  /// The data gradient is a convolution of its own for each of these.
  let residues: [ResidueClass]
  private let geometry: Geometry
  private let name: String
  /// The masters, or what `transform` made of them, and where in it the weights begin; nil once they are kept as packed.
  private var source: (values: Buffer<A>, first: Int)?
  /// For the forward pass, of batch after batch.
  private var kept: Packed?

  /// - Parameter slot: [kernel row][kernel column][input][output] of `geometry`, of the layer `name`.
  init(_ slot: ParameterLayout.Slot, _ geometry: Geometry, _ transform: (any WeightTransform)?, of name: String) {
    (self.slot, self.geometry, self.transform, self.name) = (slot, geometry, transform, name)
    residues = ResidueClass.all(kernel: geometry.kernel, stride: geometry.stride, padding: geometry.padding)
  }

  /// Bytes of what outlives a pass.
  var keptBytes: Int { transform == nil ? 0 : source?.values.bytes ?? 0 }

  /// Takes the masters, which stay as they are until the last pass. `backward`: whether a backward pass may follow.
  func take(_ masters: Buffer<A>, backward: Bool, _ context: Context<E>) {
    source = (masters, slot.range.lowerBound)
    if let transform {
      context.workers.timeline.measure(.packing, "filters of \(name)") {
        source = (transform.apply(masters, context.workers), 0)
      }
    }
    kept = nil
    if backward { return }
    kept = packForward(context)
    source = nil
  }

  /// For y = W∗x.
  func forward(_ context: Context<E>) -> Packed { kept ?? packForward(context) }

  private func packForward(_ context: Context<E>) -> Packed {
    if let winograd = winograd(context) { return transformed(winograd, isFlipped: false, context) }
    let gemm = context.kernels.gemm, window = geometry.window, outputs = geometry.outputs
    let rows = window.panelRows(gemm, geometry.inputs), run = window.columns * geometry.inputs
    return pack(columns: outputs, rows: rows, run: run, context) { w, first, count, width, base in
      for row in 0..<window.rows {
        gemm.pack(
          w + row * run * outputs + first, run, count, rowStride: outputs, columnStride: 1, width: width,
          panelRows: rows, row: row * gemm.padded(depth: run), into: base)
      }
    }
  }

  /// For the input pixels of a residue class in x̄ = Wᵀ∗ȳ; nil where no tap reaches them. Winograd's are of all pixels.
  func backward(_ residue: ResidueClass, _ context: Context<E>) -> Packed? {
    if let winograd = winograd(context) { return transformed(winograd, isFlipped: true, context) }
    let gemm = context.kernels.gemm, window = residue.window
    let inputs = geometry.inputs, outputs = geometry.outputs, rows = window.panelRows(gemm, outputs)
    guard rows > 0 else { return nil }
    let run = window.columns * outputs, padded = gemm.padded(depth: run)
    return pack(columns: inputs, rows: rows, run: run, context) { w, first, count, width, base in
      for (index, tap) in residue.taps.enumerated() {
        // rows: output channels of one tap; columns: input channels
        gemm.pack(
          w + (tap * inputs + first) * outputs, outputs, count, rowStride: 1, columnStride: outputs, width: width,
          panelRows: rows, row: index / window.columns * padded + index % window.columns * outputs, into: base)
      }
    }
  }

  /// What filters this convolution, where Winograd does: the shape of its taps decides, never that of a batch.
  func winograd(_ context: Context<E>) -> Winograd? {
    geometry.kernel == 3 && geometry.stride == 1 && geometry.padding == 1 ? context.kernels.winograd : nil
  }

  private typealias PackPanel = (
    _ w: UnsafeMutablePointer<A>, _ first: Int, _ count: Int, _ width: Int, _ base: UnsafeMutableRawPointer
  ) -> Void

  /// Panels of `rows` rows in padded runs of `run`, each of which `body` packs from its first column on.
  private func pack(columns: Int, rows: Int, run: Int, _ context: Context<E>, _ body: PackPanel) -> Packed {
    let gemm = context.kernels.gemm, width = gemm.panelWidth(columns: columns)
    let isPadded = gemm.padded(depth: run) > run, panelBytes = gemm.panelBytes(columns: width, rows: rows)
    return packed(bytes: gemm.panelBytes(columns: columns, rows: rows), context) { w, packed in
      context.workers.parallelFor((columns + width - 1) / width) { panel, _ in
        let first = panel * width, base = packed + gemm.panelOffset(column: first, rows: rows)
        if isPadded { base.initializeMemory(as: UInt8.self, repeating: 0, count: panelBytes) }
        body(w, first, min(width, columns - first), width, base)
      }
    }
  }

  /// Transformed for Winograd's filtering: rows are input channels and columns output channels; of the data gradient,
  /// whose taps are flipped, the other way round.
  private func transformed(_ winograd: Winograd, isFlipped: Bool, _ context: Context<E>) -> Packed {
    let inputs = geometry.inputs, outputs = geometry.outputs, taps = geometry.kernel * geometry.kernel
    let gemm = winograd.gemm, (rows, columns) = isFlipped ? (outputs, inputs) : (inputs, outputs)
    let width = gemm.panelWidth(columns: columns), panel = rows * width, plane = gemm.padded(columns: columns) * rows
    let size = MemoryLayout<Float>.size
    context.workers.reserveScratch(bytes: taps * panel * size)
    return packed(bytes: Winograd.products * plane * size, context) { w, packed in
      let tiles = packed.assumingMemoryBound(to: Float.self)
      context.workers.parallelFor((columns + width - 1) / width) { index, worker in
        let scratch = context.workers.scratch(worker).assumingMemoryBound(to: Float.self), first = index * width
        for tap in 0..<taps {
          let from =
            isFlipped ? w + ((taps - 1 - tap) * inputs + first) * outputs : w + tap * inputs * outputs + first
          gemm.pack(
            from, rows, min(width, columns - first), rowStride: isFlipped ? 1 : outputs,
            columnStride: isFlipped ? outputs : 1, width: width, panelRows: rows, row: 0, into: scratch + tap * panel)
        }
        winograd.transformWeights(scratch, tap: panel, count: panel, into: tiles + index * panel, plane: plane)
      }
    }
  }

  /// Masters read, `bytes` written.
  private func packed(
    bytes: Int, _ context: Context<E>,
    _ body: (_ w: UnsafeMutablePointer<A>, _ packed: UnsafeMutableRawPointer) -> Void
  ) -> Packed {
    let source = after("taking the masters", source), packed = Packed(bytes: bytes, in: context.arena)
    context.workers.work.move(.weights, slot.count * MemoryLayout<A>.size + bytes)
    context.workers.timeline.measure(.packing, "weights of \(name)") {
      body(source.values.pointer + source.first, packed.block.pointer)
    }
    return packed
  }
}
