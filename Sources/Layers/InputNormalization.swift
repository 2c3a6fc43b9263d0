import Tensors

/// RGB bytes (n×h×w×3) to the network's input: (value / 255 − mean) / deviation, ImageNet's statistics, computed in
/// float64 and rounded once to the storage element.
package enum InputNormalization {
  package static func forward<E: Element>(_ pixels: [UInt8], height: Int, width: Int, _ context: Context<E>) -> Tensor<
    E
  > {
    let area = height * width, images = pixels.count / (3 * area)
    let x = context.tensor(Shape(images, height, width, 3))
    let kernels = context.kernels
    pixels.withUnsafeBufferPointer { bytes in
      context.workers.parallelFor(images) { image, _ in
        kernels.normalize(
          bytes.baseAddress! + image * area * 3, pixels: area, mean: ImageNet.mean, deviation: ImageNet.deviation,
          into: x.pointer + image * area * 3)
      }
    }
    return x
  }
}
