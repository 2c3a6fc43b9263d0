import CKernels
import Tensors

/// What a kernel reads: a stored tensor and what is still to be done to it, by pointers that have to outlive it.
package struct OperandView<E: Element> {
  package typealias Values = UnsafePointer<E>
  package typealias Coefficients = UnsafePointer<E.Accumulator>

  let pointers: OperandPointers

  /// `imageStride`: from one image's coefficients to the next one's; 0 where all images share them. With `.bfloat16` what is
  /// read is rounded to it.
  package init(
    _ x: Values, _ pending: Pending<Values, Coefficients>, imageStride: Int, _ multiplication: Multiplication
  ) {
    var operand = lineup_operand()
    operand.bfloat16 = multiplication == .bfloat16 ? 1 : 0
    operand.x = UnsafeRawPointer(x)
    switch pending.map({ UnsafeRawPointer($0) }, { UnsafeRawPointer($0) }) {
    case .nothing: operand.reading = LINEUP_PLAIN
    case .affine(let a, let b):
      operand.reading = LINEUP_AFFINE
      (operand.a, operand.b) = (a, b)
    case .activation(let a, let b):
      operand.reading = LINEUP_ACTIVATION
      (operand.a, operand.b) = (a, b)
    case .normGradient(let z, let a, let b, let c):
      operand.reading = LINEUP_NORM_GRADIENT
      (operand.z, operand.a, operand.b, operand.c) = (z, a, b, c)
    case .activationTangent(let z, let a, let b, let c, let scale, let shift):
      operand.reading = LINEUP_ACTIVATION_TANGENT
      (operand.z, operand.a, operand.b, operand.c, operand.d, operand.e) = (z, a, b, c, scale, shift)
    case .regularizedNormGradient(let z, let g, let t, let a, let b, let c, let d, let e):
      operand.reading = LINEUP_REGULARIZED_NORM_GRADIENT
      (operand.z, operand.g, operand.t) = (z, g, t)
      (operand.a, operand.b, operand.c, operand.d, operand.e) = (a, b, c, d, e)
    }
    pointers = OperandPointers(operand: operand, imageStride: imageStride * MemoryLayout<E.Accumulator>.size)
  }
}

/// An operand without its type. Not generic, so that whoever reads line by line looks up no metadata.
struct OperandPointers {
  let operand: lineup_operand
  /// Bytes from one image's coefficients to the next one's.
  let imageStride: Int

  /// body(the operand as the C kernels take it, with the coefficients of `image`)
  func withImage<T>(_ image: Int, _ body: (UnsafePointer<lineup_operand>) -> T) -> T {
    guard imageStride != 0 else { return withUnsafePointer(to: operand, body) }
    var own = operand
    let offset = image * imageStride
    own.a = own.a.map { $0 + offset }
    own.b = own.b.map { $0 + offset }
    own.c = own.c.map { $0 + offset }
    own.d = own.d.map { $0 + offset }
    own.e = own.e.map { $0 + offset }
    return withUnsafePointer(to: own, body)
  }
}
