import Network
import Tensors
import Testing

@Suite struct InitializationTests {
  private let workers = Workers(count: 2)

  /// Mean 0 and the deviation of each kind, within 5 of their own deviations.
  @Test func statistics() throws {
    let network = ReIDNetwork<Float>(Architecture(width: 0.5, embedding: 128, identities: 100))
    let parameters = network.initialized(seed: 3, workers)
    for slot in network.layout.slots {
      let values = slot.range.map { Double(parameters.values[$0]) }
      let n = Double(values.count)
      switch slot.kind {
      case .convolution, .linear:
        let fanOut = Double(slot.shape[0] * slot.shape.dropFirst(2).reduce(1, *))
        let deviation = slot.name == "classifier.weight" ? 0.001 : (2 / fanOut).squareRoot()
        let mean = values.reduce(0, +) / n
        let square = values.reduce(0) { $0 + $1 * $1 } / n
        #expect(abs(mean) < 5 * deviation / n.squareRoot(), "\(slot.name)")
        #expect(abs(square / (deviation * deviation) - 1) < 5 * (2 / n).squareRoot(), "\(slot.name)")
        #expect(Set(values).count > values.count / 2, "\(slot.name)")
      case .normScale: #expect(values.allSatisfy { $0 == 1 }, "\(slot.name)")
      default: #expect(values.allSatisfy { $0 == 0 }, "\(slot.name)")
      }
    }
    for slot in network.statistics.slots {
      let expected: Float = slot.name.hasSuffix("running_var") ? 1 : 0
      #expect(slot.range.allSatisfy { parameters.statistics[$0] == expected }, "\(slot.name)")
    }
  }

  /// PyTorch's own: uniform within ± 1/√fan-in, so with deviation 1/√(3 fan-in); all else as it is.
  @Test func uniform() throws {
    var architecture = Architecture(width: 0.5, embedding: 128, identities: 100)
    architecture.attention = TrunkAttention(.nonLocal)
    let network = ReIDNetwork<Float>(architecture)
    let (parameters, usual) = (
      network.initialized(.pytorch, seed: 3, workers), network.initialized(seed: 3, workers)
    )
    for slot in network.layout.slots {
      let values = slot.range.map { Double(parameters.values[$0]) }
      guard slot.kind == .convolution || slot.kind == .linear else {
        #expect(values == slot.range.map { Double(usual.values[$0]) }, "\(slot.name)")
        if slot.name == "NL_3.2.W.1.weight" { #expect(values.allSatisfy { $0 == 0 }) }
        continue
      }
      let n = Double(values.count), bound = 1 / Double(slot.shape.dropFirst().reduce(1, *)).squareRoot()
      let square = values.reduce(0) { $0 + $1 * $1 } / n
      #expect(values.allSatisfy { abs($0) <= bound }, "\(slot.name)")
      // The variance of a uniform's square is 4/45 of the bound's fourth power.
      #expect(abs(square / (bound * bound) - 1 / 3) < 5 * (4 / 45 / n).squareRoot(), "\(slot.name)")
    }
    #expect(network.layout["NL_3.2.W.1.weight"] != nil)
  }

  /// The same bits for any number of threads and any precision; others for another seed.
  @Test func isDeterministic() {
    let architecture = Trial.small()
    let network = ReIDNetwork<Float16>(architecture)
    let one = network.initialized(seed: 3, Workers(count: 1)).values.array
    #expect(network.initialized(seed: 3, workers).values.array == one)
    #expect(ReIDNetwork<Float>(architecture).initialized(seed: 3, workers).values.array == one)
    #expect(ReIDNetwork<Double>(architecture).initialized(seed: 3, workers).values.array.map { Float($0) } == one)
    #expect(network.initialized(seed: 4, workers).values.array != one)
  }

  /// A large tensor is drawn in parts, which are those of one stream.
  @Test(arguments: WeightInitialization.allCases) func partsAreOneStream(_ weights: WeightInitialization) throws {
    let network = ReIDNetwork<Float>(Architecture(width: 0.0625, embedding: 64, identities: 9001))
    let values = network.initialized(weights, seed: 3, workers).values
    let slot = try #require(network.layout["classifier.weight"])
    try #require(slot.count > 2 << 18)
    let hash = slot.name.utf8.reduce(UInt32(0x811C_9DC5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }  // FNV-1a
    var random = CounterRandom(seed: 3, position: Int(hash), purpose: .initialization)
    let drawn = slot.range.map { _ in
      weights == .he ? Float(0.001 * random.normal()) : Float(random.uniform(-0.125, 0.125))
    }
    #expect(slot.range.map { values[$0] } == drawn)
  }

  /// A tensor starts alike in every network that has it, and no two tensors of one start alike.
  @Test func dependsOnTheNameAlone() throws {
    let msfl = ReIDNetwork<Float>(Trial.small())
    let baseline = ReIDNetwork<Float>(Trial.small { $0.head = .baseline })
    let a = msfl.initialized(seed: 9, workers)
    let b = baseline.initialized(seed: 9, workers)
    for slot in baseline.layout.slots where !slot.name.hasPrefix("neck.") {
      let other = try #require(msfl.layout[slot.name])
      #expect(slot.range.map { b.values[$0] } == other.range.map { a.values[$0] }, "\(slot.name)")
    }
    let starts = msfl.layout.slots.filter { $0.kind == .convolution }.map { a.values[$0.range.lowerBound] }
    #expect(Set(starts).count == starts.count)
  }
}
