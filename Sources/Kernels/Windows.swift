import CKernels
import Tensors

/// What is computed from windows of pixels without a GEMM: 3×3 max pooling, stride 2, and depthwise convolution.
extension Kernels {
  /// Row `row` of the outputs of one image of activations, whose first pixel (of all images) is `pixel`; index: the winning
  /// tap, 0…8, of each. padding 1: ⌈n/2⌉ outputs of n inputs; 0: ⌊n/2⌋.
  package func maxPool(
    _ x: OperandView<E>, image: Int, pixel: Int, _ shape: Shape, padding: Int, row: Int,
    into y: UnsafeMutablePointer<E>, index: UnsafeMutablePointer<UInt8>
  ) {
    x.pointers.withImage(image) {
      elementwise.pointee.max_pool($0, pixel, shape.height, shape.width, shape.channels, padding, row, y, index)
    }
  }

  /// The gradient of row `row` of the inputs (`shape`) of one image from the gradient and the index of its outputs.
  package func maxPoolBackward(
    _ gradient: UnsafePointer<E>, index: UnsafePointer<UInt8>, _ shape: Shape, padding: Int, row: Int,
    into out: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.max_pool_backward(gradient, index, shape.height, shape.width, shape.channels, padding, row, out)
  }

  /// The pending tangent at the winning tap, for row `row` of the outputs of one image.
  package func maxPoolTangent(
    _ xDot: OperandView<E>, image: Int, pixel: Int, _ shape: Shape, padding: Int, row: Int,
    index: UnsafePointer<UInt8>, into yDot: UnsafeMutablePointer<E>
  ) {
    xDot.pointers.withImage(image) {
      elementwise.pointee.max_pool_tangent(
        $0, index, pixel, shape.height, shape.width, shape.channels, padding, row, yDot)
    }
  }

  /// A depthwise convolution over one row of `columns` outputs: out (columns × channels) = Σ weight · pixel.
  ///
  /// lines[t]: what the kernel's row t sees, a row of pixels, or nil; from[column · kernel + u]: its pixel that column u of the
  /// kernel sees, or −1. Weights: kernel × kernel × channels.
  package func depthwise(
    lines: UnsafePointer<UnsafeRawPointer?>, kernel: Int, from: [Int32], columns: Int, weights: UnsafePointer<A>,
    channels: Int, into out: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.depthwise(lines, kernel, from, columns, weights, channels, out)
  }

  /// The same 3×3 with stride 1 and padding 1, over `rows` rows of an image. x: the first of them; the row above it stands
  /// before it, where `above`, and the one below the last behind, where `below`.
  package func depthwise(
    _ x: UnsafePointer<A>, above: Bool, below: Bool, rows: Int, columns: Int, weights: UnsafePointer<A>, channels: Int,
    into out: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.depthwise3(x, above ? 1 : 0, below ? 1 : 0, rows, columns, weights, channels, out)
  }

  /// sums (3 × 3 × channels) += Σ over these pixels of pixel · gradient.
  package func depthwiseWeights(
    _ x: UnsafePointer<A>, above: Bool, below: Bool, rows: Int, columns: Int, gradient: UnsafePointer<A>, channels: Int,
    into sums: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.depthwise3_weights(x, above ? 1 : 0, below ? 1 : 0, rows, columns, gradient, channels, sums)
  }

  /// sums (kernel × kernel × channels) += Σ over columns of pixel · gradient (columns × channels).
  package func depthwiseWeights(
    lines: UnsafePointer<UnsafeRawPointer?>, kernel: Int, from: [Int32], columns: Int, gradient: UnsafePointer<A>,
    channels: Int, into sums: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.depthwise_weights(lines, kernel, from, columns, gradient, channels, sums)
  }
}
