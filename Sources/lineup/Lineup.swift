import ArgumentParser
import Foundation
import Tensors
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
      Train.self, Tune.self, Evaluate.self, Extract.self, IndexCommand.self, SearchCommand.self, ServeCommand.self,
      Score.self, FeedbackCommand.self, GroupsCommand.self,
      Describe.self, Synthesize.self, Probe.self, Robustness.self, Sensitivity.self, ConfusionsCommand.self,
      VisualizeCommand.self, ReportCommand.self, CheckpointCommand.self, MetricsCommand.self, WatchCommand.self,
      ImportCommand.self, ExportCommand.self, DataCommand.self, Benchmark.self, ForecastCommand.self, Doctor.self,
      Config.self,
    ]
  )

  /// A command line that cannot be read is an error of its rank like any other: the others, which wait for it, hear of it.
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    let stoppable = [Train._commandName, Tune._commandName, ServeCommand._commandName, WatchCommand._commandName]
    if arguments.first.map(stoppable.contains) == true { StopSignal.install() }
    let parsed = Result { try parse(arguments) }
    Job.run { communicator, watchdog in
      let command = try communicator.agree { try parsed.get() }
      try Invocation(type(of: command), arguments).settle(communicator)
      try command.run(communicator, watchdog)
    }
  }

  /// Exits where only help or the version was asked for.
  private static func parse(_ arguments: ArraySlice<String>) throws -> any RankCommand {
    if let problem = misspelt(arguments, in: self) { throw Failure.usage(problem) }
    do {
      var command = try parseAsRoot()
      if let command = command as? any RankCommand { return command }
      try command.run()  // prints its help
      Foundation.exit(0)
    } catch {
      if exitCode(for: error) == .success || error is CleanExit { exit(withError: error) }
      throw Failure.usage(message(for: error))  // ArgumentParser's own has several lines
    }
  }

  /// A first word that is no command. ArgumentParser takes it for a stray argument, and complains of an option after it.
  private static func misspelt(_ arguments: ArraySlice<String>, in command: ParsableCommand.Type) -> String? {
    let commands = command.configuration.subcommands, names = commands.map { $0._commandName }
    guard !commands.isEmpty, let word = arguments.first, !word.hasPrefix("-"), word != "help" else { return nil }
    if let known = commands.first(where: { $0._commandName == word }) {
      return misspelt(arguments.dropFirst(), in: known)
    }
    let hint = Spelling.nearest(key: word, among: names).map { "did you mean \($0)?" }
    return "no command \(word) of \(command._commandName); "
      + (hint ?? "expected one of \(names.joined(separator: ", "))")
  }
}
