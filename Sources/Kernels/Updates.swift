import CKernels
import Tensors

/// What every update of parameters does to a gradient and to the parameters before anything else.
package struct Decay: Sendable {
  /// Gradients are multiplied by it.
  package let scale: Double
  /// L2: g ← scale·g + l2·w. Decoupled: w ← (1 − shrink)·w.
  package let l2: Double, shrink: Double

  package init(scale: Double, l2: Double, shrink: Double) { (self.scale, self.l2, self.shrink) = (scale, l2, shrink) }
}

/// One update of Adam (Kingma and Ba, 2015) with its bias corrections worked in.
package struct AdamUpdate: Sendable {
  package let decay: Decay
  package let beta1: Double, beta2: Double
  /// w ← w − rate · m / (√v · root + epsilon), rate = learning rate / (1 − β₁ᵗ), root = 1/√(1 − β₂ᵗ)
  package let rate: Double, root: Double, epsilon: Double

  package init(_ decay: Decay, beta1: Double, beta2: Double, rate: Double, root: Double, epsilon: Double) {
    self.decay = decay
    (self.beta1, self.beta2, self.rate, self.root, self.epsilon) = (beta1, beta2, rate, root, epsilon)
  }
}

/// One update of gradient descent: w ← w − rate · (g, the momentum, or Nesterov's sum of both).
package struct DescentUpdate: Sendable {
  package let decay: Decay
  package let momentum: Double, nesterov: Bool, rate: Double

  package init(_ decay: Decay, momentum: Double, nesterov: Bool, rate: Double) {
    (self.decay, self.momentum, self.nesterov, self.rate) = (decay, momentum, nesterov, rate)
  }
}

extension Kernels where E.Accumulator == E {
  /// Parameters w, their moments m and v, from gradients g.
  package func adam(
    _ w: UnsafeMutablePointer<E>, _ g: UnsafePointer<Double>, m: UnsafeMutablePointer<E>, v: UnsafeMutablePointer<E>,
    _ count: Int, _ u: AdamUpdate
  ) {
    let d = u.decay
    elementwise.pointee.adam(w, g, m, v, count, d.scale, d.l2, d.shrink, u.beta1, u.beta2, u.rate, u.root, u.epsilon)
  }

  /// The same with `largest`, the largest v so far, under the root (Reddi et al., 2018).
  package func amsgrad(
    _ w: UnsafeMutablePointer<E>, _ g: UnsafePointer<Double>, m: UnsafeMutablePointer<E>, v: UnsafeMutablePointer<E>,
    largest: UnsafeMutablePointer<E>, _ count: Int, _ u: AdamUpdate
  ) {
    let d = u.decay
    elementwise.pointee.amsgrad(
      w, g, m, v, largest, count, d.scale, d.l2, d.shrink, u.beta1, u.beta2, u.rate, u.root, u.epsilon)
  }

  /// Parameters w and their momentum m (nil: there is none) from gradients g.
  package func descend(
    _ w: UnsafeMutablePointer<E>, _ g: UnsafePointer<Double>, m: UnsafeMutablePointer<E>?, _ count: Int,
    _ u: DescentUpdate
  ) {
    let d = u.decay
    elementwise.pointee.sgd(w, g, m, count, d.scale, d.l2, d.shrink, u.momentum, u.nesterov ? 1 : 0, u.rate)
  }

  /// y += share · (x − y)
  package func average(_ x: UnsafePointer<E>, _ count: Int, share: Double, into y: UnsafeMutablePointer<E>) {
    elementwise.pointee.average(x, count, share, y)
  }
}
