import ArgumentParser
import Collectives
import Foundation
import Storage
import Tensors
import Training

/// What a run has saved, whether it is whole, and less of it.
struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "List, verify or prune the checkpoints of a run.",
    subcommands: [List.self, Verify.self, Prune.self])

  /// The run's folder, or its folder of checkpoints.
  struct RunArgument: ParsableArguments {
    @Argument(help: "The run's folder.") var run: String

    func folder() throws -> CheckpointFolder {
      for path in ["\(run)/checkpoints", run] {
        let folder = CheckpointFolder(path: path)
        if folder.holdsAnything != nil { return folder }
      }
      throw Failure.data(run, "no checkpoint in it (looked in \(run)/checkpoints and \(run))")
    }
  }

  struct List: RankCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the checkpoints with their sizes, latest, best and proven.")
    @OptionGroup var place: RunArgument

    func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
      try communicator.onRank0 {
        let folder = try place.folder(), (own, others) = folder.contents()
        for generation in own {
          let marks = folder.marks.filter { $0.target == generation.name }.map(\.name)
          let words = marks + [generation.problem.map { "damaged: \($0)" }].compactMap { $0 }
          print("\(generation.name)  \(MemoryAccount.format(generation.bytes))  \(words.joined(separator: ", "))")
        }
        for name in others { print("\(name)  not the run's own: its manifest has another name") }
      }
    }
  }

  struct Verify: RankCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read every file of every checkpoint and compare it with its manifest; 65 where one is damaged.")
    @OptionGroup var place: RunArgument

    func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
      try communicator.onRank0 {
        let folder = try place.folder()
        var damaged: [String] = [], dangling: [String] = []
        for generation in folder.contents().own {
          do {
            _ = try Checkpoint(path: "\(folder.path)/\(generation.name)")
            print("\(generation.name)  good")
          } catch let failure as Failure {
            damaged.append(failure.message)
            print("\(generation.name)  \(failure.message)")
          }
        }
        for (name, target) in folder.marks where target == nil {
          guard FileManager.default.fileExists(atPath: "\(folder.path)/\(name)") else { continue }
          dangling.append("\(folder.path)/\(name): names no checkpoint that is there")
          print("\(name)  names no checkpoint that is there")
        }
        // A pointer without its checkpoint is no further damaged one.
        guard let first = damaged.first ?? dangling.first else { return }
        throw Failure.data("\(first)\(damaged.count > 1 ? " (and \(damaged.count - 1) more)" : "")")
      }
    }
  }

  struct Prune: RankCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove the run's own checkpoints but the newest good ones, the latest, the best and the proven one.")
    @OptionGroup var place: RunArgument
    @Option(name: .long, help: "How many of the newest good ones stay.") var keep: Int

    func validate() throws {
      guard keep >= 1 else { throw ValidationError("--keep must be 1 or more") }
    }

    func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
      try communicator.onRank0 {
        let folder = try place.folder()
        // A job that trains there prunes by itself.
        let root = folder.path == place.run ? "\(place.run)/.." : place.run
        let lock = try RunLock(root)
        try withExtendedLifetime(lock) {
          let removed = try folder.prune(keep: keep, reading: true)
          print(removed.isEmpty ? "nothing to remove" : "removed \(removed.joined(separator: ", "))")
        }
      }
    }
  }
}
