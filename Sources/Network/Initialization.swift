import Layers
import Tensors

/// `model.initialization`: how wide the first weights of convolutions and linear layers are spread. Under batch norm it scales
/// no output, but the smaller the weights, the larger the step that one learning rate is for them.
package enum WeightInitialization: String, Sendable, CaseIterable {
  case he, pytorch

  package var meaning: String {
    switch self {
    case .he:
      "normal with variance 2 / fan-out (He et al., 2015; torchvision's choice), classifiers with deviation 0.001"
    case .pytorch: "uniform within ± 1/√fan-in, PyTorch's default of such layers, with variance 1 / (3 fan-in)"
    }
  }

  /// Fills a part of a weight of shape (outputs, inputs, taps…) with draws of `random`, which the first scalar of the weight begins.
  func fill<A: BinaryFloatingPoint>(
    _ values: UnsafeMutablePointer<A>, _ part: Range<Int>, of slot: ParameterLayout.Slot, _ random: inout CounterRandom
  ) {
    let taps = slot.shape.dropFirst(2).reduce(1, *)
    switch self {
    case .he:
      let fanOut = slot.shape[0] * taps
      let deviation = slot.name.hasSuffix("classifier.weight") ? 0.001 : (2 / Double(fanOut)).squareRoot()
      random.skip(normals: part.lowerBound)
      for i in part { values[i] = A(Float(deviation * random.normal())) }
    case .pytorch:
      let fanIn = slot.shape[1] * taps
      let bound = 1 / Double(fanIn).squareRoot()
      random.skip(words: part.lowerBound)
      for i in part { values[i] = A(Float(random.uniform(-bound, bound))) }
    }
  }
}

extension ReIDNetwork {
  /// Freshly initialized parameters: convolutions and linear layers as `weights` says, norms 1 and 0, biases 0, the
  /// exponents of pools 3, slopes of rectifiers ¼, running statistics 0 and 1, centres of classes normal with deviation
  /// 1; but for slots that start otherwise.
  ///
  /// The bits of a tensor depend on the seed and its name alone, so networks that share a tensor start it alike.
  package func initialized(_ weights: WeightInitialization = .he, seed: UInt64, _ workers: Workers)
    -> Parameters<E.Accumulator>
  {
    let parameters = Parameters<E.Accumulator>(layout: layout, statistics: statistics)
    // A classifier of many identities is most of a network; it is drawn by all threads.
    let piece = 1 << 18
    let parts = layout.slots.flatMap { slot in
      stride(from: 0, to: slot.count, by: piece).map { (slot, $0..<min(slot.count, $0 + piece)) }
    }
    workers.parallelFor(parts.count) { index, _ in
      let (slot, part) = parts[index]
      let values = parameters.values.pointer + slot.range.lowerBound
      var random = CounterRandom(seed: seed, position: Self.hash(slot.name), purpose: .initialization)
      switch (slot.start, slot.kind) {
      case (.constant(let value), _):
        for i in part { values[i] = E.Accumulator(value) }
      case (.fanIn, _): WeightInitialization.pytorch.fill(values, part, of: slot, &random)
      case (.usual, .convolution), (.usual, .linear): weights.fill(values, part, of: slot, &random)
      case (.usual, .centre):
        random.skip(normals: part.lowerBound)
        for i in part { values[i] = E.Accumulator(Float(random.normal())) }
      case (.usual, .normScale):
        for i in part { values[i] = 1 }
      case (.usual, .exponent):
        for i in part { values[i] = E.Accumulator(GeneralizedMean<E>.initialExponent) }
      case (.usual, .slope):
        for i in part { values[i] = 0.25 }
      case (.usual, .bias), (.usual, .normShift), (.usual, .statistic), (.usual, .strength): break
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
