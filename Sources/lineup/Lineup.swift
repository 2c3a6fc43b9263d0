import ArgumentParser
import Foundation
import Training

/// The commands. Each does what its name says with the modules below; nothing else is here.
@main
struct Lineup: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lineup",
    abstract: "Trains person re-identification networks on CPU clusters.",
    discussion: "Exit codes: 0 done, 64 usage, 65 bad data or file, 69 a rank or host is missing, "
      + "70 internal, 75 checkpointed and asked to stop, 76 diverged.",
    version: Version.current,
    subcommands: [
      Train.self, Evaluate.self, Extract.self, Score.self, Describe.self, Synthesize.self, Probe.self, Robustness.self, CheckpointCommand.self,
      Benchmark.self, Doctor.self, Config.self,
    ]
  )

  /// ArgumentParser's errors take several lines; ours take one, and under mpirun rank 0 speaks for all.
  static func main() {
    if CommandLine.arguments.dropFirst().first == Train._commandName { StopSignal.install() }
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      if code == .success || error is CleanExit { exit(withError: error) }
      let environment = ProcessInfo.processInfo.environment
      let ranks = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"].compactMap { environment[$0] }
      if ranks.first ?? "0" == "0" { Job.complain(message(for: error)) }
      Foundation.exit(code.rawValue)
    }
  }
}
