import Kernels
import Tensors

/// What the passes that make gradients of weights have in common.
package enum WeightGradients {
  /// Images whose contributions to a weight's gradient are summed in the accumulator.
  package static let groupImages = 4

  /// x and ȳ, of which x⊗ȳ is summed.
  struct Term<E: Element> { let operand: OperandView<E>, gradient: OperandView<E> }
}
