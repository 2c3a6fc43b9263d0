import CKernels
import Kernels
import Tensors

/// What a convolution reads: a stored tensor and what is still to be done to it.
///
/// A normalized activation is never written: it is the raw convolution output z with a pending per-channel scale,
/// shift and ReLU, applied while the next GEMM packs it. So is the gradient of z, from that of the normalized output.
package struct Operand<E: Element> {
  package let tensor: Tensor<E>
  private let raw: Tensor<E>?
  private let a: Buffer<E.Accumulator>?, b: Buffer<E.Accumulator>?, c: Buffer<E.Accumulator>?
  private let reading: lineup_reading

  /// x
  package static func plain(_ x: Tensor<E>) -> Operand {
    Operand(tensor: x, raw: nil, a: nil, b: nil, c: nil, reading: LINEUP_PLAIN)
  }

  /// scale·z + shift
  package static func normalized(_ z: Tensor<E>, _ state: BatchNorm<E>.State) -> Operand {
    Operand(tensor: z, raw: nil, a: state.scale, b: state.shift, c: nil, reading: LINEUP_AFFINE)
  }

  /// max(0, scale·z + shift)
  package static func activation(_ z: Tensor<E>, _ state: BatchNorm<E>.State) -> Operand {
    Operand(tensor: z, raw: nil, a: state.scale, b: state.shift, c: nil, reading: LINEUP_ACTIVATION)
  }

  /// z̄ = a g + b z + c, the gradient of a batch norm's input z from that of its output, g.
  package static func gradient(_ g: Tensor<E>, through z: Tensor<E>, _ coefficients: BatchNorm<E>.GradientCoefficients)
    -> Operand
  {
    Operand(tensor: g, raw: z, a: coefficients.a, b: coefficients.b, c: coefficients.c, reading: LINEUP_NORM_GRADIENT)
  }

  package var shape: Shape { tensor.shape }

  /// Whether nothing is pending.
  var isPlain: Bool { reading == LINEUP_PLAIN }

  /// The values as accumulators, written out.
  package func materialized(_ context: Context<E>) -> Tensor<E.Accumulator> {
    let out = Tensor<E.Accumulator>(shape, in: context.arena)
    let view = view(.exact), read = context.kernels.elementwise.read!
    context.workers.parallelFor(shape.images) { image, _ in
      var view = view
      read(&view, image * shape.area, shape.area, shape.channels, out.pointer + image * shape.area * shape.channels)
    }
    return out
  }

  /// The C view; valid while the operand is referenced.
  func view(_ multiplication: Multiplication) -> lineup_operand {
    lineup_operand(
      reading: reading, bfloat16: multiplication == .bfloat16 ? 1 : 0, x: UnsafeRawPointer(tensor.pointer),
      z: raw.map { UnsafeRawPointer($0.pointer) }, a: a.map { UnsafeRawPointer($0.pointer) },
      b: b.map { UnsafeRawPointer($0.pointer) }, c: c.map { UnsafeRawPointer($0.pointer) })
  }
}

/// How the gradient of a tensor is finished when its last contribution is written: through the ReLU that the
/// tensor came out of, with the sums that the batch norms below need.
package struct GradientTarget<E: Element> {
  /// A raw convolution output and its normalization.
  package struct Normalized {
    package let z: Tensor<E>
    package let state: BatchNorm<E>.State

    package init(_ z: Tensor<E>, _ state: BatchNorm<E>.State) { (self.z, self.state) = (z, state) }
  }

  /// Where the gradient passes.
  package enum Gate {
    /// Everywhere: nothing rectified the tensor.
    case open
    /// Where this stored tensor is positive.
    case positive(Tensor<E>)
    /// Where the pending activation is positive.
    case activation(Normalized)
  }

  package let gate: Gate
  /// The batch norms whose outputs were added to the tensor: none, one, or two (a block with a downsample).
  package let norms: [Normalized]

  package init(gate: Gate, norms: [Normalized]) { (self.gate, self.norms) = (gate, norms) }

  /// A tensor that nothing was done to.
  package static var plain: GradientTarget { GradientTarget(gate: .open, norms: []) }
}

/// A gradient, gated, with Σg, Σg(z₁ − mean₁), Σg(z₂ − mean₂) of this rank (empty if the target has no norm).
package struct Gradient<E: Element> {
  package let tensor: Tensor<E>
  package let sums: [Double]

  package init(tensor: Tensor<E>, sums: [Double]) { (self.tensor, self.sums) = (tensor, sums) }
}

/// What becomes of the accumulators of a GEMM: out = gate(acc + bias + addend), rounded, stored, summed.
package struct Epilogue<E: Element> {
  package let out: Tensor<E>
  package var bias: UnsafePointer<E.Accumulator>?
  /// Added before gating; of `out`'s shape, or smaller and then read at the nearest pixel.
  package var addend: Tensor<E>?
  package var target: GradientTarget<E> = .plain
  /// Σv and Σv² for the statistics of the batch norm above.
  package var forwardSums = false

  package init(out: Tensor<E>) { self.out = out }

  var hasSums: Bool { forwardSums || !target.norms.isEmpty }

  /// See `SumConversion`.
  var rounding: Double { SumConversion.rounding(E.self, area: out.shape.area, forward: forwardSums) }

  /// The C view; valid while the epilogue is referenced.
  var view: lineup_epilogue {
    var view = lineup_epilogue()
    view.out = UnsafeMutableRawPointer(out.pointer)
    view.bias = bias.map { UnsafeRawPointer($0) }
    view.addend = addend.map { UnsafeRawPointer($0.pointer) }
    switch target.gate {
    case .open: break
    case .positive(let tensor): view.gate = UnsafeRawPointer(tensor.pointer)
    case .activation(let normalized):
      view.gate = UnsafeRawPointer(normalized.z.pointer)
      view.gate_scale = UnsafeRawPointer(normalized.state.scale.pointer)
      view.gate_shift = UnsafeRawPointer(normalized.state.shift.pointer)
    }
    view.sums = forwardSums ? LINEUP_FORWARD_SUMS : target.norms.isEmpty ? LINEUP_NO_SUMS : LINEUP_BACKWARD_SUMS
    if let first = target.norms.first {
      view.z1 = UnsafeRawPointer(first.z.pointer)
      view.mean1 = UnsafeRawPointer(first.state.mean.pointer)
    }
    if target.norms.count > 1 {
      view.z2 = UnsafeRawPointer(target.norms[1].z.pointer)
      view.mean2 = UnsafeRawPointer(target.norms[1].state.mean.pointer)
    }
    return view
  }
}
