import ArgumentParser
import Collectives
import Foundation
import Storage
import Tensors
import Training

/// How fast this machine multiplies the network's convolutions, beside how fast it could.
struct Benchmark: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure each convolution of the network, each pass, in GFLOP/s beside the machine's peak.",
    discussion:
      "All threads of one process, on the configuration's batch; with --search an exact search instead. Not under mpirun."
  )

  @Option(name: .long, help: "Write the numbers here too, as one JSON object.") var json: String?
  @Option(name: .long, help: "Timings of each pass, of which the median counts.") var repetitions = 5
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Measure searches among so many generated features of such a length, and compare them with all distances.",
      valueName: "1000000x512")) var search: String?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    guard repetitions > 0 else { throw ValidationError("--repetitions must be 1 or more") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.agree {
      try communicator.requireAlone("benchmark measures")
      let configuration = try options.resolve()
      if let json { try Destination("--json", json).requireFile(besides: [options.config]) }
      let machine = try Machine(communicator, threads: configuration.threads)
      if let search { return try measureSearch(SearchBenchmark(search, machine)) }
      func measure<E: Element>(_: E.Type) throws {
        try self.measure(KernelBenchmark<E>(configuration, machine, repetitions: repetitions), configuration)
      }
      try measure(configuration.precision.storage.element)
    }
  }

  private func measure<E: Element>(_ benchmark: KernelBenchmark<E>, _ configuration: Configuration) throws {
    let empty = benchmark.report([])
    print("\(empty.path), multiply \(empty.multiply), storage \(empty.storage), \(empty.cores) cores")
    report(benchmark.peaks)
    let input = configuration.input
    if benchmark.filters {
      print(
        "3×3 convolutions of stride 1 by Winograd's filtering: GFLOP/s of all multiply-adds, the share of those left")
    }
    print("\(configuration.model.head.rawValue), \(input.height)×\(input.width), \(benchmark.images) images")
    print()
    print(row("convolution", "count", ["forward", "backward data", "backward weights"]))
    print(row("", "", Array(repeating: "GFLOP/s  share", count: 3)))
    var rates: [ConvolutionRates] = []
    for convolution in benchmark.convolutions {
      let measured = try benchmark.measure(convolution)
      rates.append(measured)
      print(
        row(
          measured.shape.description, "\(measured.count)",
          [measured.forward, measured.backwardData, measured.backwardWeights].map(cell)))
      fflush(nil)  // each line as soon as it is known, also into a pipe
    }
    let report = benchmark.report(rates)
    let total = report.total
    print(
      row(
        "a step, by time", "\(rates.reduce(0) { $0 + $1.count })",
        [total.forward, total.backwardData, total.backwardWeights].map(cell)))
    print(
      String(
        format: "all passes: %.1f GFLOP/s, %.1f %% of the peak, %.3f s a step", total.all.gflops,
        100 * total.all.share,
        total.all.seconds))
    if let json { try AtomicFiles.write(json: report, to: json) }
  }

  private func measureSearch(_ benchmark: SearchBenchmark) throws {
    var reports: [SearchBenchmark.Report] = []
    for kind in SearchBenchmark.Kind.allCases {
      reports.append(try benchmark.measure(kind))
      print(reports.last!)
      fflush(nil)
    }
    if let json { try AtomicFiles.write(json: reports, to: json) }
  }

  private func report(_ peaks: Peaks) {
    let bfloat16 = peaks.bfloat16.map { String(format: "bfloat16 %.1f", $0) } ?? "no bfloat16"
    print(String(format: "peaks of a core: float32 %.1f GFLOP/s, ", peaks.float32) + bfloat16)
    print(String(format: "copy of all cores: %.1f GB/s read and written", peaks.copy))
  }

  private func cell(_ rate: Rate?) -> String {
    rate.map { String(format: "%.1f  %5.1f", $0.gflops, 100 * $0.share) + " %" } ?? "—"
  }

  private func row(_ name: String, _ count: String, _ cells: [String]) -> String {
    func right(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    return name + right(count, 38 - name.count) + cells.map { right($0, 20) }.joined()
  }
}
