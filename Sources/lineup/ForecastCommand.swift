import ArgumentParser
import Collectives
import Foundation
import Storage
import Tensors
import Training

/// How fast a job would be on more hosts.
struct ForecastCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "forecast",
    abstract: "Tell how long a step would take on many hosts, from a traced one and what the network does.",
    discussion:
      "The trace is that of lineup train --trace, of two ranks or more of one host; lineup doctor under mpirun on two hosts "
      + "or more measures the network. What is foreseen, and what is not: docs/scaling.md.")

  @Option(name: .long, help: "A trace of a step: lineup train --trace FILE.") var trace: String
  @Option(name: .long, help: "Numbers of hosts, such as 2,4,8.") var hosts: String
  @Option(
    name: .long,
    help:
      "RATE,LATENCY[,COST]: of a link, of a message, and what a gigabyte costs the computation: 25gbit,50us or 1gbit,0.2ms,1.5s/GB."
  )
  var network: String
  @Option(name: .long, help: "Ranks of a host to come; as many as made the trace where not given.") var ranks: Int?
  @Option(name: .long, help: "Write the numbers here too, as one JSON object.") var json: String?

  private func counts() throws -> [Int] {
    try hosts.split(separator: ",", omittingEmptySubsequences: false).map { text in
      guard let count = Int(text), 1...1_000_000 ~= count else {
        throw ValidationError("--hosts \(hosts): \(text) is no number of hosts, from 1 to 1000000")
      }
      return count
    }
  }

  /// The `--json` file.
  private struct Report: Encodable {
    struct Measured: Encodable { let seconds: Double, ranks: Int, collectives: Int, gradientBytes: Int, buckets: Int }
    let measured: Measured, network: String, forecasts: [Training.Forecast]

    init(measured: StepProfile, network: NetworkTraits, forecasts: [Training.Forecast]) {
      self.measured = Measured(
        seconds: measured.seconds, ranks: measured.ranks, collectives: measured.collectives.count,
        gradientBytes: measured.buckets.reduce(0) { $0 + $1.bytes }, buckets: measured.buckets.count)
      (self.network, self.forecasts) = (network.description, forecasts)
    }
  }

  func validate() throws {
    if trace.isEmpty { throw ValidationError("--trace: the path of a trace is missing") }
    _ = try counts()
    if let ranks, !(1...4096 ~= ranks) { throw ValidationError("--ranks must be from 1 to 4096") }
    do { _ = try NetworkTraits(network) } catch { throw ValidationError("--network \(error)") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      if let json { try Destination("--json", json).requireFile(besides: [trace]) }
      let profile = try StepProfile(trace: trace), network = try NetworkTraits(self.network)
      let perHost = ranks ?? profile.ranks
      let forecasts = try counts().map { Training.Forecast(profile, network, hosts: $0, ranksPerHost: perHost) }
      let bytes = profile.buckets.reduce(0) { $0 + $1.bytes }
      print(
        String(
          format: "measured   %.3f s a step on %d ranks; %d collectives, %.1f MB of gradients in %d buckets",
          profile.seconds,
          profile.ranks, profile.collectives.count, Double(bytes) * 1e-6, profile.buckets.count))
      print("network    \(network.description), \(perHost) \(perHost == 1 ? "rank" : "ranks") a host")
      print()
      print("  hosts    ranks   s/step  efficiency  collectives  gradients  sending  limited by")
      for one in forecasts {
        print(
          String(
            format: "%7d  %7d  %7.3f  %8.1f %%  %11.3f  %9.3f  %7.3f  ", one.hosts, one.ranks, one.seconds,
            100 * one.efficiency,
            one.collectives, one.gradients, one.sending) + one.limit.rawValue)
      }
      guard let json else { return }
      try AtomicFiles.write(json: Report(measured: profile, network: network, forecasts: forecasts), to: json)
    }
  }
}
