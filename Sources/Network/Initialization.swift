import Layers
import Tensors

extension ReIDNetwork {
  /// Freshly initialized parameters: convolutions and the neck's linear layer normal with variance 2 / fan-out (He et
  /// al., 2015; torchvision's choice), the classifier normal with deviation 0.001, norms 1 and 0, biases 0, the exponents
  /// of pools 3, running statistics 0 and 1, centres of classes normal with deviation 1.
  ///
  /// The bits of a tensor depend on the seed and its name alone, so networks that share a tensor start it alike.
  package func initialized(seed: UInt64, _ workers: Workers) -> Parameters<E.Accumulator> {
    let parameters = Parameters<E.Accumulator>(layout: layout, statistics: statistics)
    workers.parallelFor(layout.slots.count) { index, _ in
      let slot = layout.slots[index]
      let values = parameters.values.pointer + slot.range.lowerBound
      switch slot.kind {
      case .convolution, .linear:
        let fanOut = slot.shape[0] * slot.shape.dropFirst(2).reduce(1, *)
        let deviation = slot.name.hasSuffix("classifier.weight") ? 0.001 : (2 / Double(fanOut)).squareRoot()
        var random = CounterRandom(seed: seed, position: Self.hash(slot.name), purpose: .initialization)
        for i in 0..<slot.count { values[i] = E.Accumulator(Float(deviation * random.normal())) }
      case .centre:
        var random = CounterRandom(seed: seed, position: Self.hash(slot.name), purpose: .initialization)
        for i in 0..<slot.count { values[i] = E.Accumulator(Float(random.normal())) }
      case .normScale:
        for i in 0..<slot.count { values[i] = 1 }
      case .exponent:
        for i in 0..<slot.count { values[i] = E.Accumulator(GeneralizedMean<E>.initialExponent) }
      case .bias, .normShift, .statistic, .strength: break
      }
    }
    for slot in statistics.slots where slot.name.hasSuffix(".running_var") {
      for i in slot.range where !workers.isRehearsal { parameters.statistics[i] = 1 }
    }
    return parameters
  }

  /// FNV-1a over the name.
  private static func hash(_ name: String) -> Int {
    Int(name.utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 })
  }
}
