import Kernels
import Tensors

/// Reads and writes the matrices of one image.
struct ImageMatrices<E: Element> {
  let gemm: Gemm
  private let image: Int, kernels: Kernels<E>

  /// The pixels of the image and their channels, as they are read, times `factor`.
  func callAsFunction(_ operand: Operand<E>, times factor: Double = 1) -> ImageMatrix {
    ImageMatrix(operand, image: image, times: factor, kernels)
  }

  func store(_ matrix: ImageMatrix, _ tensor: Tensor<E>) { matrix.store(to: tensor, image: image, kernels) }

  /// `body` for every image, on all threads: it reads `operands` and writes `outputs`.
  static func forEachImage(
    _ operands: [Operand<E>], writing outputs: [Tensor<E>], _ context: Context<E>,
    _ body: (_ image: Int, _ read: ImageMatrices) -> Void
  ) {
    context.workers.work.move(
      .activations, operands.reduce(0) { $0 + $1.bytes } + outputs.reduce(0) { $0 + $1.bytes })
    let gemm = Kernels<Double>(path: context.kernels.path).gemm
    context.workers.parallelFor(operands[0].shape.images) { image, _ in
      body(image, ImageMatrices(gemm: gemm, image: image, kernels: context.kernels))
    }
    withExtendedLifetime((operands, outputs)) {}
  }
}
