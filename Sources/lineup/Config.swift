import ArgumentParser
import Collectives
import Foundation
import Storage
import Tensors
import Training

/// The reference of all keys, and what a file and settings come to.
struct Config: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the configuration's keys: type, default, range, meaning; with --config or --set their values too.")

  @Argument(
    help: "A dotted key, such as sampling.images, or a section, such as sampling; all keys where there is none.")
  var key: String?
  @Flag(name: .long, help: "Print the resolved configuration as YAML.") var yaml = false
  @Flag(name: .long, help: "Print docs/configuration.md.") var markdown = false
  @Flag(name: .long, help: "List the recipes that --config knows by name.") var recipes = false
  @OptionGroup var options: ConfigurationOptions

  private var isResolved: Bool { options.config != nil || !options.set.isEmpty }

  func validate() throws {
    if [yaml, markdown, recipes, key != nil].count(where: { $0 }) > 1 {
      throw ValidationError("a key, --yaml, --markdown and --recipes go one at a time")
    }
    if markdown && isResolved { throw ValidationError("--markdown is of the defaults: no --config or --set") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      guard Console.write(try text()) else { throw Failure.internal("standard output: could not be written") }
    }
  }

  private func text() throws -> String {
    if recipes {
      let width = (Recipes.names.map(\.count).max() ?? 0) + 2
      return Recipes.summaries.map { $0.name.padding(toLength: width, withPad: " ", startingAt: 0) + $0.summary + "\n" }
        .joined()
    }
    if markdown { return try ConfigurationReference.markdown() }
    if yaml { return try options.resolve().yaml() }
    return try ConfigurationReference(isResolved ? options.resolve() : nil).text(key)
  }
}
