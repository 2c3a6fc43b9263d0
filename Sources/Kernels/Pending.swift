/// What is still to be done to the stored values x of a tensor when they are read, channel by channel: `Values` stand for
/// other tensors of its shape, `Coefficients` for numbers a channel (or an image and channel).
///
/// The names are those of batch norm: z a raw convolution output, g the gradient of its normalization, t its tangent.
package enum Pending<Values, Coefficients> {
  /// x
  case nothing
  /// a·x + b
  case affine(a: Coefficients, b: Coefficients)
  /// max(0, a·x + b)
  case activation(a: Coefficients, b: Coefficients)
  /// a·x + b·z + c
  case normGradient(z: Values, a: Coefficients, b: Coefficients, c: Coefficients)
  /// a·x + b·z + c where scale·z + shift > 0, else 0
  case activationTangent(
    z: Values, a: Coefficients, b: Coefficients, c: Coefficients, scale: Coefficients, shift: Coefficients)
  /// a·x + b·z + c + d·g + e·t
  case regularizedNormGradient(
    z: Values, g: Values, t: Values, a: Coefficients, b: Coefficients, c: Coefficients, d: Coefficients, e: Coefficients
  )

  /// The tensors that are read beside x.
  package var values: [Values] {
    switch self {
    case .nothing, .affine, .activation: []
    case .normGradient(let z, _, _, _), .activationTangent(let z, _, _, _, _, _): [z]
    case .regularizedNormGradient(let z, let g, let t, _, _, _, _, _): [z, g, t]
    }
  }

  /// The same of other representations.
  package func map<V, C>(_ values: (Values) -> V, _ coefficients: (Coefficients) -> C) -> Pending<V, C> {
    map(values, coefficients, gates: coefficients)
  }

  /// The same of other representations. `gates` maps the coefficients that only decide where something passes.
  package func map<V, C>(
    _ values: (Values) -> V, _ coefficients: (Coefficients) -> C, gates gate: (Coefficients) -> C
  ) -> Pending<V, C> {
    switch self {
    case .nothing: .nothing
    case .affine(let a, let b): .affine(a: coefficients(a), b: coefficients(b))
    case .activation(let a, let b): .activation(a: coefficients(a), b: coefficients(b))
    case .normGradient(let z, let a, let b, let c):
      .normGradient(z: values(z), a: coefficients(a), b: coefficients(b), c: coefficients(c))
    case .activationTangent(let z, let a, let b, let c, let scale, let shift):
      .activationTangent(
        z: values(z), a: coefficients(a), b: coefficients(b), c: coefficients(c), scale: gate(scale), shift: gate(shift)
      )
    case .regularizedNormGradient(let z, let g, let t, let a, let b, let c, let d, let e):
      .regularizedNormGradient(
        z: values(z), g: values(g), t: values(t), a: coefficients(a), b: coefficients(b), c: coefficients(c),
        d: coefficients(d), e: coefficients(e))
    }
  }
}
