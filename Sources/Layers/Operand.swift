import CKernels
import Kernels
import Tensors

/// What a convolution reads: a stored tensor and what is still to be done to it.
///
/// A normalized activation is never written: it is the raw convolution output z with a pending per-channel scale,
/// shift and ReLU, applied while the next GEMM packs it. So are its tangent, from that of z, and the gradients of z,
/// from those of the normalized output.
package struct Operand<E: Element> {
  package let tensor: Tensor<E>
  private let reading: lineup_reading
  private var raw: Tensor<E>?, gradient: Tensor<E>?, tangent: Tensor<E>?
  private var a: Buffer<E.Accumulator>?, b: Buffer<E.Accumulator>?, c: Buffer<E.Accumulator>?
  private var d: Buffer<E.Accumulator>?, e: Buffer<E.Accumulator>?

  private init(_ tensor: Tensor<E>, _ reading: lineup_reading) { (self.tensor, self.reading) = (tensor, reading) }

  /// x
  package static func plain(_ x: Tensor<E>) -> Operand { Operand(x, LINEUP_PLAIN) }

  /// factor·x
  package static func scaled(_ x: Tensor<E>, by factor: Double) -> Operand {
    var operand = Operand(x, LINEUP_AFFINE)
    let channels = x.shape.channels
    operand.a = Buffer([E.Accumulator](repeating: E.Accumulator(factor), count: channels))
    operand.b = Buffer(count: channels)
    return operand
  }

  /// scale·z + shift
  package static func normalized(_ z: Tensor<E>, _ state: BatchNorm<E>.State) -> Operand {
    var operand = Operand(z, LINEUP_AFFINE)
    (operand.a, operand.b) = (state.scale, state.shift)
    return operand
  }

  /// max(0, scale·z + shift)
  package static func activation(_ z: Tensor<E>, _ state: BatchNorm<E>.State) -> Operand {
    var operand = Operand(z, LINEUP_ACTIVATION)
    (operand.a, operand.b) = (state.scale, state.shift)
    return operand
  }

  /// z̄ = a g + b z + c, the gradient of a batch norm's input z from that of its output, g; and with ż for g the
  /// tangent of the output.
  package static func gradient(_ g: Tensor<E>, through z: Tensor<E>, _ coefficients: BatchNorm<E>.Coefficients)
    -> Operand
  {
    var operand = Operand(g, LINEUP_NORM_GRADIENT)
    operand.raw = z
    (operand.a, operand.b, operand.c) = (coefficients.a, coefficients.b, coefficients.c)
    return operand
  }

  /// The tangent of max(0, scale·z + shift): a ż + b z + c where the activation is positive.
  package static func activationTangent(
    _ zDot: Tensor<E>, through z: Tensor<E>, _ state: BatchNorm<E>.State, _ coefficients: BatchNorm<E>.Coefficients
  ) -> Operand {
    var operand = Operand(zDot, LINEUP_ACTIVATION_TANGENT)
    operand.raw = z
    (operand.a, operand.b, operand.c) = (coefficients.a, coefficients.b, coefficients.c)
    (operand.d, operand.e) = (state.scale, state.shift)
    return operand
  }

  /// a h + b z + c + d g + e ż, the gradient of z with respect to the regularized loss, from that of the output, h.
  package static func regularizedGradient(
    _ h: Tensor<E>, through z: Tensor<E>, _ g: Tensor<E>, _ zDot: Tensor<E>,
    _ coefficients: BatchNorm<E>.RegularizedCoefficients
  ) -> Operand {
    var operand = Operand(h, LINEUP_REGULARIZED_NORM_GRADIENT)
    (operand.raw, operand.gradient, operand.tangent) = (z, g, zDot)
    (operand.a, operand.b, operand.c) = (coefficients.base.a, coefficients.base.b, coefficients.base.c)
    (operand.d, operand.e) = (coefficients.d, coefficients.e)
    return operand
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
    func pointer(_ tensor: Tensor<E>?) -> UnsafeRawPointer? { tensor.map { UnsafeRawPointer($0.pointer) } }
    func pointer(_ buffer: Buffer<E.Accumulator>?) -> UnsafeRawPointer? { buffer.map { UnsafeRawPointer($0.pointer) } }
    return lineup_operand(
      reading: reading, bfloat16: multiplication == .bfloat16 ? 1 : 0, x: pointer(tensor), z: pointer(raw),
      g: pointer(gradient), t: pointer(tangent), a: pointer(a), b: pointer(b), c: pointer(c), d: pointer(d),
      e: pointer(e))
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

  /// Finishes a gradient that was written as it came.
  package func finish(_ raw: Tensor<E>, _ context: Context<E>) -> Gradient<E> {
    var epilogue = Epilogue(out: context.tensor(raw.shape))
    epilogue.addend = raw
    epilogue.target = self
    let rowBytes = raw.shape.channels * MemoryLayout<E.Accumulator>.size
    let lines = raw.shape.images * raw.shape.height
    let sums = RowStore.run(epilogue, lines: lines, columns: raw.shape.width, context) { _, rows in
      rows.initializeMemory(as: UInt8.self, repeating: 0, count: rowBytes)
      return 0
    }
    return Gradient(tensor: epilogue.out, sums: sums)
  }
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
  /// For a tangent v of z: Σv, Σv(z − mean) and Σvg, where g is the gradient of z's normalization.
  package var tangentOf: (normalized: GradientTarget<E>.Normalized, gradient: Tensor<E>)?

  package init(out: Tensor<E>) { self.out = out }

  var hasSums: Bool { forwardSums || tangentOf != nil || !target.norms.isEmpty }

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
    view.sums = forwardSums ? LINEUP_FORWARD_SUMS : hasSums ? LINEUP_BACKWARD_SUMS : LINEUP_NO_SUMS
    if let tangentOf {
      view.z1 = UnsafeRawPointer(tangentOf.normalized.z.pointer)
      view.mean1 = UnsafeRawPointer(tangentOf.normalized.state.mean.pointer)
      view.z2 = UnsafeRawPointer(tangentOf.gradient.pointer)
    }
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
