/// Which of the backward passes of a step this is.
///
/// A plain step has one. A step with the gradient regularizer has two: the first, of L, only reaches down for the
/// gradients of features whose norms are penalized; after the tangents have been computed, the second is that of
/// J = L + λR, and adds up the parameters' gradients. What the second carries down is not the pair (ȳ, ȳ˙) but its sum
/// h = ȳ + λȳ˙, the gradient of J: every formula is linear in ȳ˙, and where nothing was perturbed below, the pass just goes
/// on as a plain one.
package enum BackwardPass {
  /// Of L: parameter gradients are added up, and what was saved is taken apart.
  case plain(ParameterGradients)
  /// Of L, gradients of data only; units keep theirs. The places (0: the input; 1…4: stages) are those whose gradient is
  /// asked for; nothing below the lowest is computed.
  case recording(places: [Int])
  /// Of J, where forwardTangent has left tangents, and on below; parameter gradients are added up, and what was saved is
  /// taken apart. `tangentWeight` κ = λ/τ is what the stored tangents, τ times the true ones, count in J.
  case regularized(ParameterGradients, tangentWeight: Double)

  /// Where parameter gradients go, if anywhere.
  package var gradients: ParameterGradients? {
    switch self {
    case .plain(let gradients), .regularized(let gradients, _): gradients
    case .recording: nil
    }
  }

  /// What stored tangents count in the loss.
  package var tangentWeight: Double {
    if case .regularized(_, let weight) = self { weight } else { 0 }
  }

  /// Whether the gradient of this place is asked for as it comes, before any gate.
  package func asks(for place: Int) -> Bool {
    if case .recording(let places) = self { places.contains(place) } else { false }
  }

  /// Whether the gradient of this place is computed: everywhere, but a recording pass stops at its lowest place.
  package func reaches(_ place: Int) -> Bool {
    if case .recording(let places) = self { places.contains { $0 <= place } } else { true }
  }
}
