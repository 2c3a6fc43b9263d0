import Layers
import Tensors

/// A map of the network that a head can read.
package enum MapSource: Hashable, Sendable {
  /// c_s, the output of stage s of the trunk.
  case stage(Int)
  /// f_s, level s of the pyramid.
  case level(Int)
}

/// What reads a map beside the network's body, in a backward pass: from what else contributes to the gradient of the map,
/// and its target, to the gradient with the readers' part. nil where nobody reads the map.
package typealias MapReaders<E: Element> = (
  _ source: MapSource, _ addend: Tensor<E>?, _ target: GradientTarget<E>
) -> Gradient<E>?
