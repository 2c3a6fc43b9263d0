import Kernels
import Tensors

/// What a convolution reads: a stored tensor and what is still to be done to it.
///
/// A normalized activation is never written: it is the raw convolution output z with a pending per-channel scale,
/// shift and ReLU, applied while the next GEMM packs it. So are its tangent, from that of z, and the gradients of z,
/// from those of the normalized output.
package struct Operand<E: Element> {
  package let tensor: Tensor<E>
  private let pending: Pending<Tensor<E>, Buffer<E.Accumulator>>
  /// From one image's coefficients to the next one's; 0 where all images share them.
  private let imageStride: Int

  private init(_ tensor: Tensor<E>, _ pending: Pending<Tensor<E>, Buffer<E.Accumulator>>, imageStride: Int = 0) {
    (self.tensor, self.pending, self.imageStride) = (tensor, pending, imageStride)
  }

  /// x
  package static func plain(_ x: Tensor<E>) -> Operand { Operand(x, .nothing) }

  /// factor·x
  package static func scaled(_ x: Tensor<E>, by factor: Double) -> Operand {
    let channels = x.shape.channels
    let factors = Buffer([E.Accumulator](repeating: E.Accumulator(factor), count: channels))
    return Operand(x, .affine(a: factors, b: Buffer(count: channels)))
  }

  /// scale·x + shift; `imageStride` from one image's numbers to the next one's.
  static func affine(
    _ x: Tensor<E>, scale: Buffer<E.Accumulator>, shift: Buffer<E.Accumulator>, imageStride: Int
  ) -> Operand {
    Operand(x, .affine(a: scale, b: shift), imageStride: imageStride)
  }

  /// scale·z + shift
  package static func normalized(_ z: Tensor<E>, _ state: NormState<E.Accumulator>) -> Operand {
    Operand(z, .affine(a: state.scale, b: state.shift), imageStride: state.imageStride)
  }

  /// max(0, scale·z + shift)
  package static func activation(_ z: Tensor<E>, _ state: NormState<E.Accumulator>) -> Operand {
    Operand(z, .activation(a: state.scale, b: state.shift), imageStride: state.imageStride)
  }

  /// z̄ = a g + b z + c, the gradient of a norm's input z from that of its output, g; and with ż for g the
  /// tangent of the output.
  package static func gradient(_ g: Tensor<E>, through z: Tensor<E>, _ coefficients: NormCoefficients<E.Accumulator>)
    -> Operand
  {
    Operand(
      g, .normGradient(z: z, a: coefficients.a, b: coefficients.b, c: coefficients.c),
      imageStride: coefficients.imageStride)
  }

  /// The tangent of max(0, scale·z + shift): a ż + b z + c where the activation is positive.
  package static func activationTangent(
    _ zDot: Tensor<E>, through z: Tensor<E>, _ state: NormState<E.Accumulator>,
    _ coefficients: NormCoefficients<E.Accumulator>
  ) -> Operand {
    Operand(
      zDot,
      .activationTangent(
        z: z, a: coefficients.a, b: coefficients.b, c: coefficients.c, scale: state.scale, shift: state.shift),
      imageStride: coefficients.imageStride)
  }

  /// a h + b z + c + d g + e ż, the gradient of z with respect to the regularized loss, from that of the output, h.
  package static func regularizedGradient(
    _ h: Tensor<E>, through z: Tensor<E>, _ g: Tensor<E>, _ zDot: Tensor<E>,
    _ coefficients: RegularizedNormCoefficients<E.Accumulator>
  ) -> Operand {
    let base = coefficients.base
    return Operand(
      h,
      .regularizedNormGradient(
        z: z, g: g, t: zDot, a: base.a, b: base.b, c: base.c, d: coefficients.d, e: coefficients.e),
      imageStride: base.imageStride)
  }

  /// This times a factor an image and channel, none of them negative: a ReLU that is pending lets factors pass.
  func scaled(byImage factors: Buffer<E.Accumulator>) -> Operand {
    let channels = shape.channels
    precondition(factors.count == shape.images * channels)
    if isPlain {
      return Operand(tensor, .affine(a: factors, b: Buffer(count: factors.count)), imageStride: channels)
    }
    /// A set of coefficients an image.
    func each(_ coefficients: Buffer<E.Accumulator>, _ value: (Int, E.Accumulator) -> E.Accumulator)
      -> Buffer<E.Accumulator>
    {
      let result = Buffer<E.Accumulator>(count: factors.count)
      for i in 0..<factors.count { result[i] = value(i, coefficients[imageStride == 0 ? i % channels : i]) }
      return result
    }
    let scaled = pending.map(
      { $0 }, { each($0) { factors[$0] * $1 } }, gates: { each($0) { $1 } })
    return Operand(tensor, scaled, imageStride: channels)
  }

  package var shape: Shape { tensor.shape }

  /// Bytes of the tensors it is read from.
  var bytes: Int { pending.values.reduce(tensor.bytes) { $0 + $1.bytes } }

  /// Whether nothing is pending.
  var isPlain: Bool {
    if case .nothing = pending { true } else { false }
  }

  /// The values as accumulators, written out.
  package func materialized(_ context: Context<E>) -> Tensor<E.Accumulator> {
    let out = Tensor<E.Accumulator>(shape, in: context.arena)
    let view = view(.exact), kernels = context.kernels
    context.workers.parallelFor(shape.images) { image, _ in
      kernels.read(
        view, image: image, pixel: image * shape.area, shape.area, channels: shape.channels,
        into: out.pointer + image * shape.area * shape.channels)
    }
    return out
  }

  /// The kernels' view; valid while the operand is referenced.
  func view(_ multiplication: Multiplication) -> OperandView<E> {
    OperandView(
      tensor.pointer, pending.map({ UnsafePointer($0.pointer) }, { UnsafePointer($0.pointer) }),
      imageStride: imageStride, multiplication)
  }
}
