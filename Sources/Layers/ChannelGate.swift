import Tensors

/// Gates of each image and channel, from an image's means of each channel; what the means are of and what the gates multiply
/// is `ExcitedNormPasses`' matter. It computes in the accumulator: A is its own.
package protocol ChannelGate<A>: AnyObject {
  associatedtype A: Element
  /// To be packed.
  var maps: [any LinearMap<A>] { get }
  /// s: of each image and channel.
  func forward(_ s: Buffer<Double>, images: Int, _ run: Run<A>) -> any ChannelGatePasses<A>
  /// From s, N×c×1×1, as operators of `graph`.
  func express(_ s: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

/// What follows, in the order of `Passes`.
package protocol ChannelGatePasses<A>: AnyObject {
  associatedtype A: Element
  /// Of each image and channel.
  var g: Buffer<Double> { get }
  /// ġ from ṡ.
  func forwardTangent(_ sDot: Buffer<Double>, _ run: Run<A>) -> Buffer<Double>
  /// s̄ from ḡ, or both with λ times their tangents.
  func backward(_ gBar: Buffer<Double>, _ pass: BackwardPass, _ run: Run<A>) -> Buffer<Double>
}
