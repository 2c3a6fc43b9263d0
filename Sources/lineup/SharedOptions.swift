import ArgumentParser
import Training

/// `--config` and `--set`, wherever a configuration is needed.
struct ConfigurationOptions: ParsableArguments {
  @Option(name: .long, help: ArgumentHelp("A YAML file with any part of the configuration.", valueName: "file"))
  var config: String?

  @Option(
    name: .long, parsing: .singleValue,
    help: ArgumentHelp("One setting, over the file's; dotted keys, e.g. model.width=0.5.", valueName: "key=value"))
  var set: [String] = []

  /// `--set key value` is a usual slip; without this, it is the value that would be complained of as a stray argument.
  func validate() throws {
    do {
      for setting in set { _ = try Configuration.Setting(setting) }
    } catch {
      throw ValidationError("\(error)")
    }
  }

  /// Over the defaults, or over what a checkpoint was trained with.
  func resolve(_ checkpoint: Checkpoint? = nil) throws -> Configuration {
    try checkpoint?.configuration(file: config, settings: set) ?? Configuration.resolve(file: config, settings: set)
  }
}
