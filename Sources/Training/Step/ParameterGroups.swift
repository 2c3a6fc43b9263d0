import Tensors

/// A range of parameters that an optimizer treats alike.
package struct ParameterGroup: Sendable, Equatable {
  package fileprivate(set) var range: Range<Int>
  /// Of the learning rate and of the weight decay.
  package let rateFactor: Double, decayFactor: Double
  package let isTrunk: Bool

  fileprivate func isAlike(_ other: Self) -> Bool {
    (rateFactor, decayFactor) == (other.rateFactor, other.decayFactor) && isTrunk == other.isTrunk
  }
}

extension ParameterGroup {
  /// All of `layout`, padding too, in as few groups as there are. A tensor's factors are those of where it stands (the
  /// trunk, or what reads it) times those of what it is (the scale or shift of a norm, the bias of a layer). Weight decay
  /// spares exponents, which near 0 have no mean, slopes, which near 0 rectify, and centres, which belong where their
  /// classes are; without `decays` all.
  package static func groups(
    of layout: ParameterLayout, trunk: Set<String>, _ factors: Configuration.Optimization.Factors, decays: Bool
  ) -> [ParameterGroup] {
    var groups: [ParameterGroup] = []
    for (index, slot) in layout.slots.enumerated() {
      let isTrunk = trunk.contains(slot.name), place = isTrunk ? factors.trunk : factors.heads
      var rate = place.learningRate, decay = place.weightDecay
      switch slot.kind {
      case .normScale, .normShift:
        (rate, decay) = (rate * factors.norms.learningRate, decay * factors.norms.weightDecay)
      case .bias: (rate, decay) = (rate * factors.biases.learningRate, decay * factors.biases.weightDecay)
      case .exponent, .slope, .centre: decay = 0
      case .convolution, .linear, .statistic, .strength: break
      }
      let end = index + 1 < layout.slots.count ? layout.slots[index + 1].range.lowerBound : layout.count
      let group = ParameterGroup(
        range: slot.range.lowerBound..<end, rateFactor: rate, decayFactor: decays ? decay : 0, isTrunk: isTrunk)
      if let last = groups.last, last.isAlike(group) {
        groups[groups.count - 1].range = last.range.lowerBound..<end
      } else {
        groups.append(group)
      }
    }
    return groups
  }

  /// All of `layout` without weight decay.
  package static func undecayed(_ layout: ParameterLayout) -> [ParameterGroup] {
    [ParameterGroup(range: 0..<layout.count, rateFactor: 1, decayFactor: 0, isTrunk: false)]
  }
}
