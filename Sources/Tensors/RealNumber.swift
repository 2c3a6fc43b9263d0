import Foundation

/// A number that a gradient is computed with: a float64, or one with its derivative along a direction (`Dual`). Written once,
/// a gradient instantiated with dual numbers gives its own tangent, which the gradient regularizer needs; no loss has a second
/// derivative by hand.
package protocol RealNumber: Sendable {
  init(_ constant: Double)
  /// The number itself: what is compared, chosen and mined by.
  var value: Double { get }
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  static func / (a: Self, b: Self) -> Self
  static prefix func - (a: Self) -> Self
  func exponential() -> Self
  func logarithm() -> Self
  func squareRoot() -> Self
}

extension RealNumber {
  package static func += (a: inout Self, b: Self) { a = a + b }
  package static func -= (a: inout Self, b: Self) { a = a - b }

  /// The same and one constant in all passes, as automatic differentiation has `detach`.
  package var detached: Self { Self(value) }

  /// 1 / (1 + e⁻ˣ), without overflow.
  package func sigmoid() -> Self {
    let e = (value > 0 ? -self : self).exponential(), one = Self(1)
    return value > 0 ? one / (one + e) : e / (one + e)
  }

  /// log(1 + eˣ), without overflow.
  package func softplus() -> Self {
    let e = (value > 0 ? -self : self).exponential(), rest = (Self(1) + e).logarithm()
    return value > 0 ? self + rest : rest
  }
}

extension Double: RealNumber {
  package var value: Double { self }
  package func exponential() -> Double { exp(self) }
  package func logarithm() -> Double { log(self) }
}

/// value + tangent·ε with ε² = 0.
package struct Dual: RealNumber {
  package let value: Double, tangent: Double

  package init(_ value: Double, _ tangent: Double) { (self.value, self.tangent) = (value, tangent) }
  package init(_ constant: Double) { self.init(constant, 0) }

  package static func + (a: Dual, b: Dual) -> Dual { Dual(a.value + b.value, a.tangent + b.tangent) }
  package static func - (a: Dual, b: Dual) -> Dual { Dual(a.value - b.value, a.tangent - b.tangent) }
  package static func * (a: Dual, b: Dual) -> Dual {
    Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)
  }
  package static func / (a: Dual, b: Dual) -> Dual {
    let quotient = a.value / b.value
    return Dual(quotient, (a.tangent - quotient * b.tangent) / b.value)
  }
  package static prefix func - (a: Dual) -> Dual { Dual(-a.value, -a.tangent) }
  package func exponential() -> Dual {
    let e = exp(value)
    return Dual(e, tangent * e)
  }
  package func logarithm() -> Dual { Dual(log(value), tangent / value) }
  package func squareRoot() -> Dual {
    let root = value.squareRoot()
    return Dual(root, tangent / (2 * root))
  }
}
