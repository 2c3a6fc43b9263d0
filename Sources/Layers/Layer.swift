import Tensors

/// A value between layers: what is stored with what is pending on it, and how a gradient of it is finished.
package struct Feature<E: Element> {
  package let value: Operand<E>
  package let target: GradientTarget<E>

  package init(_ value: Operand<E>, _ target: GradientTarget<E> = .plain) {
    (self.value, self.target) = (value, target)
  }

  /// A stored tensor that nothing was done to.
  package static func plain(_ x: Tensor<E>) -> Feature { Feature(.plain(x)) }

  package var shape: Shape { value.shape }
}

/// A differentiable map from one feature to another, with the parameters that it was built with.
///
/// The same shape everywhere: `forward` computes y and returns the passes that may follow it, which hold what was saved.
/// Dropping them frees it.
package protocol Layer<E>: AnyObject {
  associatedtype E: Element
  /// Collectives: those of its norms, on every rank alike.
  func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E>
  /// What evaluation makes of x, for other programs: the same equations as operators of `graph`.
  func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

/// What follows a forward pass: y, then either one plain backward pass, or a recording one, the tangents and the backward
/// pass of the regularized loss (`BackwardPass`).
package protocol Passes<E>: AnyObject {
  associatedtype E: Element
  var y: Feature<E> { get }

  /// From ẋ (times τ) to ẏ + v. After a recording backward pass.
  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E>

  /// From the gradient of y, finished by `y.target`, to that of x, finished by `target`, with `addend`, what else reads x
  /// contributes to it. Gradients of parameters are added up or recorded, as `pass` says.
  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E>

  /// The same where nobody needs the gradient of x: what reads the images.
  func backwardToParameters(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws

  /// The tangents stored by `forwardTangent`, for a report of how they fit the storage.
  var storedTangents: [Tensor<E>] { get }
}

extension Passes {
  package func backwardToParameters(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws {
    _ = try backward(yBar, adding: nil, target: .plain, pass, run)
  }
}

/// What a pass needs of an earlier one, which has to have run.
package func after<T>(_ pass: StaticString, _ kept: T?) -> T {
  guard let kept else { fatalError("this pass comes after \(pass)") }
  return kept
}
