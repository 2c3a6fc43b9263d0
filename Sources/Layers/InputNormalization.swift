import CKernels
import Tensors

/// RGB bytes (n×h×w×3) to the network's input: (value / 255 − mean) / deviation, ImageNet's statistics, computed in
/// float64 and rounded once to the storage element.
package enum InputNormalization {
  package static var mean: [Double] { [0.485, 0.456, 0.406] }
  package static var deviation: [Double] { [0.229, 0.224, 0.225] }

  package static func forward<E: Element>(_ pixels: [UInt8], height: Int, width: Int, _ context: Context<E>) -> Tensor<
    E
  > {
    let area = height * width, images = pixels.count / (3 * area)
    let x = context.tensor(Shape(images, height, width, 3))
    let normalize = context.kernels.elementwise.normalize!
    pixels.withUnsafeBufferPointer { bytes in
      context.workers.parallelFor(images) { image, _ in
        normalize(bytes.baseAddress! + image * area * 3, area, Self.mean, Self.deviation, x.pointer + image * area * 3)
      }
    }
    return x
  }
}
