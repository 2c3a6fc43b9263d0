import Kernels
import Network
import Tensors

/// Measures the convolutions of a configuration's network, pass by pass, against what the machine could multiply.
package struct KernelBenchmark<E: Element> {
  /// The distinct convolutions of a step.
  package let convolutions: [CountedConvolution]
  /// Images that pass a convolution at once: the configuration's batch.
  package let images: Int
  package let peaks: Peaks
  private let configuration: Configuration
  private let machine: Machine
  private let kernels: Kernels<E>
  private let repetitions: Int

  /// Measures the peaks. `repetitions`: timings of a pass, of which the median counts.
  package init(_ configuration: Configuration, _ machine: Machine, repetitions: Int) throws {
    guard E.precision != .float64 else {
      throw Failure.usage(
        "precision.storage=float64 has no kernels to measure; it must be float16 or float32")
    }
    precondition(repetitions > 0)
    (self.configuration, self.machine, self.repetitions) = (configuration, machine, repetitions)
    kernels = machine.kernels(configuration)
    convolutions = try ReIDNetwork<E>(Architecture(configuration.model, identities: 1)).convolutions(
      height: configuration.input.height, width: configuration.input.width)
    images = configuration.sampling.identities * configuration.sampling.images
    peaks = Peaks.measure(kernels.path, machine.workers)
  }

  /// Whether convolutions of 3×3 taps go through Winograd's filtering.
  package var filters: Bool { kernels.winograd != nil }

  /// GFLOP/s that all cores together could reach; Winograd multiplies in float32.
  private func limit(isWinograd: Bool) -> Double {
    Double(machine.workers.count)
      * peaks.peak(kernels.path, isWinograd ? .exact : configuration.precision.multiply)
  }

  /// The passes of a convolution in a step.
  package func measure(_ convolution: CountedConvolution) throws -> ConvolutionRates {
    let context = machine.context(E.self, configuration), work = machine.workers.work
    let trial = try ConvolutionTrial(convolution.shape, images: images, context)
    func rate(_ kind: Work.Pass, _ pass: () -> Void) -> Rate {
      let before = work.performed[kind] ?? 0
      pass()
      let performed = (work.performed[kind] ?? 0) - before
      return Rate(
        multiplyAdds: trial.multiplyAdds, performed: performed, seconds: median(pass),
        limit: limit(isWinograd: performed != trial.multiplyAdds))
    }
    return ConvolutionRates(
      shape: convolution.shape, count: convolution.count, forward: rate(.forward, trial.forward),
      backwardData: convolution.shape.readsImages ? nil : rate(.backwardData, trial.backwardData),
      backwardWeights: rate(.backwardWeights, trial.backwardWeights))
  }

  /// Seconds of a call, after one or more to warm up.
  private func median(_ pass: () -> Void) -> Double {
    let first = Stopwatch.seconds(pass)
    // A call of microseconds is repeated until a timing takes some milliseconds.
    let calls = max(1, Int((0.005 / max(first, 1e-6)).rounded(.up)))
    let timings = (0..<repetitions).map { _ in
      Stopwatch.seconds { for _ in 0..<calls { pass() } } / Double(calls)
    }.sorted()
    return (timings[(repetitions - 1) / 2] + timings[repetitions / 2]) / 2
  }

  /// All that was measured, added up over the network.
  package func report(_ rates: [ConvolutionRates]) -> KernelReport {
    KernelReport(
      peaks: peaks, cores: machine.workers.count, path: kernels.path.rawValue,
      multiply: configuration.precision.multiply.rawValue, storage: E.precision.rawValue,
      images: images,
      convolutions: rates,
      total: NetworkRates(
        forward: Rate(total: rates.map { ($0.forward, $0.count) }),
        backwardData: Rate(total: rates.compactMap { row in row.backwardData.map { ($0, row.count) } }),
        backwardWeights: Rate(total: rates.map { ($0.backwardWeights, $0.count) }),
        all: Rate(total: rates.flatMap { row in row.passes.map { ($0, row.count) } }))
    )
  }
}

/// How fast something was multiplied, by all cores together.
package struct Rate: Codable, Sendable, Equatable {
  package let multiplyAdds: Int
  /// Those that were carried out: fewer where Winograd filters.
  package let performed: Int
  package let seconds: Double
  /// Of `multiplyAdds`, each two operations.
  package let gflops: Double
  /// Of what all cores could perform at best.
  package let share: Double

  /// `limit`: what all cores could reach, in GFLOP/s.
  init(multiplyAdds: Int, performed: Int, seconds: Double, limit: Double) {
    self.init(multiplyAdds, performed, seconds, atBest: 2 * Double(performed) / limit / 1e9)
  }

  /// `atBest`: the seconds that it would take at the limit.
  private init(_ multiplyAdds: Int, _ performed: Int, _ seconds: Double, atBest: Double) {
    (self.multiplyAdds, self.performed, self.seconds) = (multiplyAdds, performed, seconds)
    (gflops, share) = (2 * Double(multiplyAdds) / seconds / 1e9, atBest / seconds)
  }

  /// Everything in turn, each as often as it is counted.
  init(total rates: [(rate: Rate, count: Int)]) {
    self.init(
      rates.reduce(0) { $0 + $1.count * $1.rate.multiplyAdds }, rates.reduce(0) { $0 + $1.count * $1.rate.performed },
      rates.reduce(0) { $0 + Double($1.count) * $1.rate.seconds },
      atBest: rates.reduce(0) { $0 + Double($1.count) * $1.rate.share * $1.rate.seconds })
  }
}

/// One convolution, each time it runs.
package struct ConvolutionRates: Codable, Sendable {
  package let shape: ConvolutionShape
  /// How many of a step's convolutions have the shape.
  package let count: Int
  package let forward: Rate
  /// nil where a step does not take it.
  @Nullable package var backwardData: Rate?
  package let backwardWeights: Rate

  package var passes: [Rate] { [forward, backwardData, backwardWeights].compactMap { $0 } }
}

/// All convolutions of a step.
package struct NetworkRates: Codable, Sendable {
  package let forward: Rate, backwardData: Rate, backwardWeights: Rate, all: Rate
}

/// The `--json` file of `benchmark`.
package struct KernelReport: Codable, Sendable {
  package let peaks: Peaks
  /// Threads that multiplied.
  package let cores: Int
  package let path: String, multiply: String, storage: String
  package let images: Int
  package let convolutions: [ConvolutionRates]
  package let total: NetworkRates
}
