import Tensors

/// y = a + b, element by element; both n×h×w×c, a as it is read; without b, a as it is read, written. Precision: summed in the accumulator, rounded once. Collectives: none.
package enum Addition<E: Element> {
  package static func forward(_ a: Operand<E>, _ b: Tensor<E>?, _ context: Context<E>) -> Tensor<E> {
    let shape = a.shape, view = a.view(.exact), kernels = context.kernels
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.addend = b
    context.workers.work.move(.activations, a.bytes)
    _ = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      kernels.read(
        view, image: line / shape.height, pixel: line * shape.width, shape.width, channels: shape.channels, into: rows)
      return shape.channels
    }
    withExtendedLifetime(a) {}
    return epilogue.out
  }
}

extension Operand {
  /// This, or its stored sum with v.
  package func adding(_ v: Tensor<E>?, _ context: Context<E>) -> Operand {
    v.map { .plain(Addition.forward(self, $0, context)) } ?? self
  }
}
