import ArgumentParser
import Collectives
import Dataset
import Training

/// Draws a data set of generated people.
struct Synthesize: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a data set of generated people in the Market-1501 layout.",
    discussion: "With --labels its file labels.csv is the same data set as a CSV file, with further columns.")

  @Option(name: .long, help: "The data set's folder.") var output: String
  @Option(name: .long, help: "People; the first half is for training.") var identities = 64
  @Option(name: .long, help: "Images of a person and camera.") var images = 4
  @Option(name: .long, help: "Cameras.") var cameras = 4
  @Option(name: .long, help: "The same seed draws the same data set.") var seed: UInt64 = 1
  @Flag(name: .long, help: "Write labels.csv too: orientation, attributes, group and face of each image.")
  var labels = false
  @Option(name: .long, help: "How many of the queries have something in front, from 0 to 1.") var occlusion = 0.0
  @Option(name: .long, help: "How many of the queries show a part of the person alone, from 0 to 1.") var partial = 0.0

  func validate() throws {
    guard identities >= 2, images >= 1, cameras >= 2 else {
      throw ValidationError("synthesize needs --identities 2, --images 1 and --cameras 2 or more")
    }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      let destination = Destination("--output", output)
      try destination.requireFolder()
      try destination.requireNoRun()
      var synthesizer = Synthesizer(identities: identities, images: images, cameras: cameras, seed: seed)
      (synthesizer.labels, synthesizer.occlusion, synthesizer.partial) = (labels, occlusion, partial)
      print(try synthesizer.write(to: output).summary)
    }
  }
}
