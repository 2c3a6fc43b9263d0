import CKernels
import Tensors

/// y = a + b, element by element; both n×h×w×c. Precision: summed in the accumulator, rounded once. Collectives: none.
package enum Addition<E: Element> {
  package static func forward(_ a: Tensor<E>, _ b: Tensor<E>, _ context: Context<E>) -> Tensor<E> {
    let shape = a.shape, view = Operand.plain(a).view(.exact), read = context.kernels.elementwise.read!
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.addend = b
    context.workers.work.move(.activations, a.bytes)
    _ = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      var view = view
      read(&view, line * shape.width, shape.width, shape.channels, rows)
      return shape.channels
    }
    withExtendedLifetime(a) {}
    return epilogue.out
  }
}
