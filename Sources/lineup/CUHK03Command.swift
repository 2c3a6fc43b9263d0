import ArgumentParser
import Collectives
import Dataset
import Training

/// CUHK03 from its MAT files to images.
struct CUHK03Command: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "cuhk03", abstract: "Unpack CUHK03's MAT files to a folder of PNG images in the Market-1501 layout.",
    discussion: "Which images, and which for what, is the new protocol's, whose MAT file is told by --protocol.")

  @Option(name: .long, help: ArgumentHelp("The data set, cuhk-03.mat.", valueName: "file")) var mat: String
  @Option(
    name: .customLong("protocol"),
    help: ArgumentHelp("cuhk03_new_protocol_config_detected.mat, or …_labeled.mat.", valueName: "file"))
  var list: String
  @Option(name: .long, help: "The folder to write to.") var output: String

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      let destination = Destination("--output", output)
      try destination.requireFolder()
      try destination.requireNoRun()
      print(try CUHK03.unpack(pictures: mat, protocol: list, to: output) { watchdog?.beat() }.summary)
    }
  }
}
