import ArgumentParser
import Collectives
import Foundation
import Tensors
import Training

/// A command as every rank of a job runs it.
protocol RankCommand: ParsableCommand {
  /// - Parameter watchdog: nil where a rank is alone.
  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws
}

extension Communicator {
  /// - Parameter command: what the command is or does with one process.
  /// - Throws: `Failure.usage` on every rank where there are several.
  func requireAlone(_ command: String) throws {
    guard size == 1 else {
      throw Failure.usage("\(command) one process with all its threads: start it without mpirun")
    }
  }

  /// What rank 0 does for all; a failure is everybody's.
  func onRank0(_ body: () throws -> Void) throws {
    try agree { if isCoordinator { try body() } }
  }
}

/// What a command line asks the ranks to do together, and so the first thing that they must agree on: a rank that goes
/// another way than the others ends up in another collective, with bytes that mean something else.
struct Invocation: Codable {
  let command: String
  /// By name, with what stands behind them.
  let options: [String: [String]]

  /// May lie elsewhere on each host; what is in them is compared when it is read.
  private static let places: Set<String> = [
    "--data", "--output", "--checkpoint", "--images", "--image", "--csv", "--weights", "--initialize", "--resume-from",
    "--trace", "--json", "--query", "--gallery", "--mask-training", "--space", "--index", "--html",
  ]
  /// Agreed on key by key (`ConfigurationOptions.agreed`).
  private static let settings: Set<String> = ["--set", "--config"]

  /// - Parameter arguments: a command line that has been parsed.
  init(_ command: ParsableCommand.Type, _ arguments: some Sequence<String>) {
    var options: [String: [String]] = [:], name: String?
    for argument in arguments {
      if argument.hasPrefix("--") {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        name = parts[0]
        options[parts[0], default: []] += parts.dropFirst()
      } else if let name {
        options[name]!.append(argument)
      }
    }
    for place in Self.places where options[place] != nil { options[place] = [] }
    (self.command, self.options) = (command._commandName, options.filter { !Self.settings.contains($0.key) })
  }

  /// Throws on every rank, with a line of the first one that was started otherwise than rank 0.
  func settle(_ communicator: any Communicator) throws {
    guard communicator.size > 1 else { return }
    let bytes = try communicator.broadcast([UInt8](try JSONEncoder().encode(self)))
    try communicator.agree {
      let first = try JSONDecoder().decode(Invocation.self, from: Data(bytes))
      if let difference = difference(from: first) { throw Failure.usage(difference) }
    }
  }

  private func difference(from first: Invocation) -> String? {
    guard command == first.command else { return "the command is \(command) here, \(first.command) on rank 0" }
    for name in Set(options.keys).union(first.options.keys).sorted() {
      guard let theirs = first.options[name] else { return "\(name) is given here, not on rank 0" }
      guard let mine = options[name] else { return "\(name) is given on rank 0, not here" }
      if mine != theirs {
        return "\(name) is \(mine.joined(separator: " ")) here, \(theirs.joined(separator: " ")) on rank 0"
      }
    }
    return nil
  }
}
