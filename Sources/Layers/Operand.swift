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
  /// From one image's coefficients to the next one's; 0 where all images share them.
  private var imageStride = 0

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
  package static func normalized(_ z: Tensor<E>, _ state: Norm<E>.State) -> Operand {
    var operand = Operand(z, LINEUP_AFFINE)
    (operand.a, operand.b, operand.imageStride) = (state.scale, state.shift, state.imageStride)
    return operand
  }

  /// max(0, scale·z + shift)
  package static func activation(_ z: Tensor<E>, _ state: Norm<E>.State) -> Operand {
    var operand = Operand(z, LINEUP_ACTIVATION)
    (operand.a, operand.b, operand.imageStride) = (state.scale, state.shift, state.imageStride)
    return operand
  }

  /// z̄ = a g + b z + c, the gradient of a norm's input z from that of its output, g; and with ż for g the
  /// tangent of the output.
  package static func gradient(_ g: Tensor<E>, through z: Tensor<E>, _ coefficients: Norm<E>.Coefficients)
    -> Operand
  {
    var operand = Operand(g, LINEUP_NORM_GRADIENT)
    operand.raw = z
    (operand.a, operand.b, operand.c) = (coefficients.a, coefficients.b, coefficients.c)
    operand.imageStride = coefficients.imageStride
    return operand
  }

  /// The tangent of max(0, scale·z + shift): a ż + b z + c where the activation is positive.
  package static func activationTangent(
    _ zDot: Tensor<E>, through z: Tensor<E>, _ state: Norm<E>.State, _ coefficients: Norm<E>.Coefficients
  ) -> Operand {
    var operand = Operand(zDot, LINEUP_ACTIVATION_TANGENT)
    operand.raw = z
    (operand.a, operand.b, operand.c) = (coefficients.a, coefficients.b, coefficients.c)
    (operand.d, operand.e) = (state.scale, state.shift)
    operand.imageStride = coefficients.imageStride
    return operand
  }

  /// a h + b z + c + d g + e ż, the gradient of z with respect to the regularized loss, from that of the output, h.
  package static func regularizedGradient(
    _ h: Tensor<E>, through z: Tensor<E>, _ g: Tensor<E>, _ zDot: Tensor<E>,
    _ coefficients: Norm<E>.RegularizedCoefficients
  ) -> Operand {
    var operand = Operand(h, LINEUP_REGULARIZED_NORM_GRADIENT)
    (operand.raw, operand.gradient, operand.tangent) = (z, g, zDot)
    (operand.a, operand.b, operand.c) = (coefficients.base.a, coefficients.base.b, coefficients.base.c)
    (operand.d, operand.e) = (coefficients.d, coefficients.e)
    operand.imageStride = coefficients.base.imageStride
    return operand
  }

  /// This times a factor an image and channel, none of them negative: a ReLU that is pending lets factors pass.
  func scaled(byImage factors: Buffer<E.Accumulator>) -> Operand {
    let channels = shape.channels
    precondition(factors.count == shape.images * channels)
    /// A set of coefficients an image; those of a gate stay what they are.
    func times(_ coefficients: Buffer<E.Accumulator>?, isGate: Bool = false) -> Buffer<E.Accumulator>? {
      guard let coefficients else { return nil }
      let result = Buffer<E.Accumulator>(count: factors.count)
      for i in 0..<factors.count {
        let value = coefficients[imageStride == 0 ? i % channels : i]
        result[i] = isGate ? value : factors[i] * value
      }
      return result
    }
    let isTangent = reading == LINEUP_ACTIVATION_TANGENT
    var operand = Operand(tensor, isPlain ? LINEUP_AFFINE : reading)
    (operand.raw, operand.gradient, operand.tangent, operand.imageStride) = (raw, gradient, tangent, channels)
    (operand.a, operand.b, operand.c) =
      isPlain ? (factors, Buffer(count: factors.count), nil) : (times(a), times(b), times(c))
    (operand.d, operand.e) = (times(d, isGate: isTangent), times(e, isGate: isTangent))
    return operand
  }

  package var shape: Shape { tensor.shape }

  /// Bytes of the tensors it is read from.
  var bytes: Int { [tensor, raw, gradient, tangent].reduce(0) { $0 + ($1?.bytes ?? 0) } }

  /// Whether nothing is pending.
  var isPlain: Bool { reading == LINEUP_PLAIN }

  /// The values as accumulators, written out.
  package func materialized(_ context: Context<E>) -> Tensor<E.Accumulator> {
    let out = Tensor<E.Accumulator>(shape, in: context.arena)
    let view = view(.exact), read = context.kernels.elementwise.read!
    context.workers.parallelFor(shape.images) { image, _ in
      var view = view.ofImage(image)
      read(&view, image * shape.area, shape.area, shape.channels, out.pointer + image * shape.area * shape.channels)
    }
    return out
  }

  /// The C view; valid while the operand is referenced.
  func view(_ multiplication: Multiplication) -> OperandView {
    func pointer(_ tensor: Tensor<E>?) -> UnsafeRawPointer? { tensor.map { UnsafeRawPointer($0.pointer) } }
    func pointer(_ buffer: Buffer<E.Accumulator>?) -> UnsafeRawPointer? { buffer.map { UnsafeRawPointer($0.pointer) } }
    let shared = lineup_operand(
      reading: reading, bfloat16: multiplication == .bfloat16 ? 1 : 0, x: pointer(tensor), z: pointer(raw),
      g: pointer(gradient), t: pointer(tangent), a: pointer(a), b: pointer(b), c: pointer(c), d: pointer(d),
      e: pointer(e))
    return OperandView(shared, imageStride: imageStride * MemoryLayout<E.Accumulator>.size)
  }
}

/// The kernels' view of an operand. They know one set of coefficients a channel; which of several, the image decides.
struct OperandView {
  private let shared: lineup_operand
  /// Bytes from one image's coefficients to the next one's; 0 where all images share them.
  private let imageStride: Int

  init(_ shared: lineup_operand, imageStride: Int) { (self.shared, self.imageStride) = (shared, imageStride) }

  func ofImage(_ image: Int) -> lineup_operand {
    guard imageStride != 0 else { return shared }
    var view = shared
    let offset = image * imageStride
    view.a = view.a.map { $0 + offset }
    view.b = view.b.map { $0 + offset }
    view.c = view.c.map { $0 + offset }
    view.d = view.d.map { $0 + offset }
    view.e = view.e.map { $0 + offset }
    return view
  }
}
