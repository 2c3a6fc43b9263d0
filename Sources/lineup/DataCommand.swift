import ArgumentParser
import Collectives
import Dataset
import Foundation
import Synchronization
import Tensors
import Training

/// What a data set is, before days are spent on it.
struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Look at a data set before a run.", subcommands: [Check.self, CUHK03Command.self])

  struct Check: RankCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what a data set was read as, its counts beside the published ones, and what is wrong with it.",
      discussion: "Exits with 65 where images are missing or damaged, or nothing can be evaluated.")

    @OptionGroup var data: DataOptions
    @Flag(name: .long, help: "Do not decode the images, only look whether they are there.") var quick = false
    @OptionGroup var options: ConfigurationOptions

    func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
      try communicator.onRank0 {
        let reading = try options.resolve().data.reading
        for path in data.paths { try check(try ReIDDataset.open(at: path, reading), watchdog) }
      }
    }

    private func check(_ dataset: ReIDDataset, _ watchdog: Watchdog?) throws {
      print("\(dataset.root): \(dataset.name)")
      printCounts(dataset)
      for warning in dataset.warnings { print("warning: \(warning)") }
      _ = try dataset.survey { watchdog?.beat() }
      for remark in try dataset.check() { print("warning: \(remark)") }
      if !dataset.hasTest { print("nothing to test on: a run is not evaluated") }
      if !quick { try decode(dataset, watchdog) }
    }

    private func printCounts(_ dataset: ReIDDataset) {
      let published = PublishedCounts.nearest(dataset)
      print("             images  identities  cameras" + (published.map { "   \($0.name) as published" } ?? ""))
      for (index, split) in ReIDDataset.Split.allCases.enumerated() {
        let samples = dataset[split]
        let identities = Set(samples.map(\.identity)).count, cameras = Set(samples.map(\.camera)).count
        let name = split.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
        var line = name + String(format: "%9d  %10d  %7d", samples.count, identities, cameras)
        let units = dataset.units(split)
        if units.name != "images" { line += "   \(units.count) \(units.name)" }
        if let published {
          line += "   \(published.images[index]) \(units.name)"
          if let known = published.identities[index] { line += " of \(known) identities" }
          if published.images[index] != units.count { line += ", not as here" }
        }
        print(line)
      }
    }

    /// Every image, on all cores.
    private func decode(_ dataset: ReIDDataset, _ watchdog: Watchdog?) throws {
      let paths = Array(Set(dataset.paths)).sorted(), damaged = Mutex<[Int: String]>([:])
      let workers = Workers(count: Affinity.cores.count)
      workers.parallelFor(paths.count) { index, _ in
        do {
          _ = try ImageCodec.decode(path: paths[index])
        } catch {
          damaged.withLock { $0[index] = "\(error)" }
        }
        watchdog?.beat()
      }
      let found = damaged.withLock { $0 }.sorted { $0.key < $1.key }
      for (_, reason) in found.prefix(20) { print("damaged: \(reason)") }
      if found.count > 20 { print("and \(found.count - 20) more") }
      if let first = found.first {
        throw Failure.data(
          dataset.root, "\(found.count) of \(paths.count) images cannot be decoded, the first is \(first.value)")
      }
      print("all \(paths.count) images can be decoded")
    }
  }
}
