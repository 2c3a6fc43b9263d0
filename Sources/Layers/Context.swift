import Collectives
import Kernels
import Tensors

/// What a pass computes with: explicit arguments instead of global state.
package struct Context<E: Element> {
  package let workers: Workers
  package let communicator: any Communicator
  package let arena: Arena
  package let kernels: Kernels<E>

  package init(workers: Workers, communicator: any Communicator, arena: Arena, kernels: Kernels<E>) {
    self.workers = workers
    self.communicator = communicator
    self.arena = arena
    self.kernels = kernels
  }

  /// The same, for tensors of the accumulator: the neck and the losses.
  package var accumulating: Context<E.Accumulator> {
    Context<E.Accumulator>(
      workers: workers, communicator: communicator, arena: arena, kernels: kernels.accumulating)
  }

  package func tensor(_ shape: Shape) -> Tensor<E> { Tensor(shape, in: arena) }
}

/// One flat buffer for the values of all parameters and one for running statistics; gradients are `ParameterGradients`.
package struct Parameters<A: Element> {
  /// Masters, updated by the optimizer.
  package let values: Buffer<A>
  /// Running means and variances of batch norms, by a layout of their own.
  package let statistics: Buffer<A>

  package init(layout: ParameterLayout, statistics: ParameterLayout) {
    values = Buffer(count: layout.count)
    self.statistics = Buffer(count: statistics.count)
  }
}
