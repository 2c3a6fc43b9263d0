import Tensors

/// A linear map of pixels with weights, and with a bias or none: what a norm can follow.
///
///     y = W∗x + b        ẏ = W∗ẋ        x̄ = Wᵀ∗ȳ        W̄ += x⊗ȳ (+ ẋ⊗ȳ₁)
///
/// Operands are read with what is pending on them; results are finished by an epilogue, whose sums are returned.
package protocol LinearMap<E>: AnyObject {
  associatedtype E: Element
  var geometry: Geometry { get }
  /// The weight, and the bias if there is one.
  var slots: [ParameterLayout.Slot] { get }

  /// Makes the working weights ready from the masters: after every change of them, before any pass. `backward`: whether
  /// `backwardData` may follow. The masters stay as they are until the last pass.
  func pack(_ values: Buffer<E.Accumulator>, backward: Bool, _ context: Context<E>)
  /// Whether `pack` reads the masters; otherwise passes do.
  func readsWhenPacked(backward: Bool) -> Bool
  /// Bytes of working weights that outlive a pass outside of the arena, after `pack`.
  var keptBytes: Int { get }

  /// From the gradients of working weights, summed over all ranks, to those of the masters, where these are not the same.
  func pullBack(_ gradients: ParameterGradients, _ values: Buffer<E.Accumulator>, _ workers: Workers)
  /// Makes what stands beside the weights in the masters such that the working weights are those that were put there.
  func fit(_ values: Buffer<E.Accumulator>, _ workers: Workers)

  @discardableResult
  func forward(
    _ x: Operand<E>, _ parameters: Parameters<E.Accumulator>, _ epilogue: Epilogue<E>, _ context: Context<E>
  ) -> Sums
  @discardableResult
  func forwardTangent(_ xDot: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums
  @discardableResult
  func backwardData(_ yBar: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums
  /// W̄ += x⊗ȳ (+ ẋ⊗ȳ₁, the second term of a tangent) and b̄ += Σ ȳ, into a buffer of the parameters' layout. With a bias,
  /// ȳ has to be a plain operand.
  func backwardWeights(
    _ x: Operand<E>, _ yBar: Operand<E>, tangent: (x: Operand<E>, yBar: Operand<E>)?,
    into gradients: ParameterGradients, _ context: Context<E>)

  /// W∗x + b as operators of `graph`.
  func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

extension LinearMap {
  package func readsWhenPacked(backward: Bool) -> Bool { true }
  package func pullBack(_ gradients: ParameterGradients, _ values: Buffer<E.Accumulator>, _ workers: Workers) {}
  package func fit(_ values: Buffer<E.Accumulator>, _ workers: Workers) {}
}

extension Run {
  /// Takes stock of a linear map, in a rehearsal.
  func note(_ map: any LinearMap<E>, reading input: Shape) { inventory?.add(map.slots, map.geometry, reading: input) }
}

/// A linear map by itself, on a feature that is read as it is; y is stored as it comes.
///
/// Collectives: none.
package final class LinearPasses<E: Element>: Passes {
  package let y: Feature<E>
  private let map: any LinearMap<E>, x: Feature<E>
  private var recorded: Tensor<E>?
  private var xDot: Operand<E>?

  /// y = W∗x + b + `addend`, which may be smaller and is then read at the nearest pixel.
  package init(_ map: any LinearMap<E>, _ x: Feature<E>, adding addend: Tensor<E>? = nil, _ run: Run<E>) {
    (self.map, self.x) = (map, x)
    run.note(map, reading: x.shape)
    var epilogue = Epilogue(out: run.context.tensor(map.geometry.outputShape(x.shape)))
    epilogue.addend = addend
    map.forward(x.value, run.parameters, epilogue, run.context)
    y = .plain(epilogue.out)
  }

  /// ẏ + v.
  package func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>? = nil, _ run: Run<E>) -> Operand<E> {
    self.xDot = xDot
    return .plain(tangent(xDot, adding: v, target: .plain, run))
  }

  /// The same, gated by `target`.
  package func tangent(_ xDot: Operand<E>, adding v: Tensor<E>?, target: GradientTarget<E>, _ run: Run<E>) -> Tensor<E>
  {
    self.xDot = xDot
    var epilogue = Epilogue(out: run.context.tensor(y.shape))
    epilogue.addend = v
    epilogue.target = target
    map.forwardTangent(xDot, epilogue, run.context)
    return epilogue.out
  }

  package func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>? = nil, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    backwardWeights(yBar.tensor, pass, run)
    return backwardData(yBar.tensor, adding: addend, target: target, run)
  }

  /// W̄ and b̄, or where the pass only records, ȳ is kept.
  package func backwardWeights(_ yBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) {
    guard let gradients = pass.gradients else {
      recorded = yBar
      return
    }
    let term = xDot.map { xDot in
      (x: xDot, yBar: Operand.scaled(after("a recording backward pass", recorded), by: pass.tangentWeight))
    }
    map.backwardWeights(x.value, .plain(yBar), tangent: term, into: gradients, run.context)
  }

  package func backwardData(
    _ yBar: Tensor<E>, adding addend: Tensor<E>? = nil, target: GradientTarget<E>, _ run: Run<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: run.context.tensor(x.shape))
    epilogue.addend = addend
    epilogue.target = target
    let sums = map.backwardData(.plain(yBar), epilogue, run.context)
    return Gradient(tensor: epilogue.out, sums: sums)
  }

  package var storedTangents: [Tensor<E>] { [] }
}
