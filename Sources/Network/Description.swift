import Collectives
import Kernels
import Layers
import Tensors

extension ReIDNetwork {
  /// What a rehearsal of the forward pass in training finds, with one image of height × width: nothing is computed.
  package func inventory(height: Int, width: Int) throws -> Inventory {
    let inventory = Inventory()
    let context = Context<E>(
      workers: Workers(count: 1, rehearsal: true), communicator: SoloCommunicator(), arena: Arena(),
      kernels: Kernels(path: .blas))
    let parameters = Parameters<E.Accumulator>(layout: layout, statistics: statistics)
    pack(parameters, training: true, context)
    let run = Run(
      context, parameters, .training(seed: 0, step: 0, firstRow: 0), inventory: inventory)
    _ = try forward(context.tensor(Shape(1, height, width, 3)), run)
    return inventory
  }

  /// Whether this weight multiplies the images themselves.
  package func readsImages(_ weight: ParameterLayout.Slot) -> Bool {
    maps.contains { $0.readsImages && $0.map.slots.contains(weight) }
  }
}
