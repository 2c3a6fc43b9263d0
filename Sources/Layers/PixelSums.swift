import Tensors

/// Sums over pixels of stored tensors, float64 within an image.
enum PixelSums {
  /// images × channels, each summed over the image's pixels in order. Empty in a rehearsal.
  static func perImage<E: Element>(_ x: Tensor<E>, _ context: Context<E>) -> [Double] {
    context.workers.work.move(.activations, x.bytes)
    guard !context.workers.isRehearsal else { return [] }
    let shape = x.shape, kernels = context.kernels
    var sums = [Double](repeating: 0, count: shape.images * shape.channels)
    sums.withUnsafeMutableBufferPointer { sums in
      let base = sums.baseAddress!
      context.workers.parallelFor(shape.images) { image, _ in
        kernels.sum(
          x.pointer, pixel: image * shape.area, shape.area, channels: shape.channels,
          into: base + image * shape.channels)
      }
    }
    return sums
  }
}
