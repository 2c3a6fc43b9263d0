import ArgumentParser
import Collectives
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
  @OptionGroup var options: ConfigurationOptions

  private var isResolved: Bool { options.config != nil || !options.set.isEmpty }

  func validate() throws {
    if [yaml, markdown, key != nil].count(where: { $0 }) > 1 {
      throw ValidationError("a key, --yaml and --markdown go one at a time")
    }
    if markdown && isResolved { throw ValidationError("--markdown is of the defaults: no --config or --set") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      guard Console.write(try text()) else { throw Failure.internal("standard output: could not be written") }
    }
  }

  private func text() throws -> String {
    if markdown { return try ConfigurationReference.markdown() }
    if yaml { return try options.resolve().yaml() }
    return try ConfigurationReference(isResolved ? options.resolve() : nil).text(key)
  }
}
