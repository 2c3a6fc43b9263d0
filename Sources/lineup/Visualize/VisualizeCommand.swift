import ArgumentParser
import Dataset
import Pictures
import Tensors
import Training

/// What a network does, to look at.
struct VisualizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "visualize", abstract: "Draw rankings, activation maps, a map of the features, or curves of runs.",
    subcommands: [VisualizeRanking.self, VisualizeActivations.self, VisualizeEmbedding.self, VisualizeCurves.self])
}

/// `--output` of the commands that draw.
struct PictureOptions: ParsableArguments {
  @Option(name: .long, help: "FILE.png or FILE.svg, the picture to write.") var output: String

  var destination: Destination { Destination("--output", output) }

  func format() throws -> DrawingFormat { try DrawingFormat(of: output, "--output") }

  /// Whether a picture can be written, before it is drawn.
  func require(besides inputs: [String?]) throws {
    _ = try format()
    try destination.requireFile(besides: inputs)
  }

  func write(_ drawing: Drawing) throws { try drawing.write(as: try format(), to: output) }
}

/// The images of samples, as evaluation sees them before they are resized: read again, to be drawn.
struct SamplePictures {
  private let samples: [String: Sample]
  private let transforms: Transforms
  /// What is drawn in a box of this size.
  private let box: Box
  /// Of images that cannot be read any more, a line each.
  private(set) var damaged: [String] = []

  init(_ samples: some Sequence<Sample>, _ configuration: Configuration, width: Double, height: Double) {
    self.samples = Dictionary(samples.lazy.map { ($0.path, $0) }) { first, _ in first }
    (transforms, box) = (configuration.evaluationTransforms, Box(0, 0, width, height))
  }

  /// nil where it cannot be read.
  mutating func picture(_ path: String, label: String) -> Picture? {
    do {
      let sample = samples[path] ?? Sample(path: path, identity: -1, camera: -1)
      return Picture(try transforms.source(sample), label: label).reduced(to: box)
    } catch {
      damaged.append("\(error)")
      return nil
    }
  }
}

extension Configuration {
  /// Height to width of the network's input.
  var aspect: Double { Double(input.height) / Double(input.width) }
}

/// What drawings call files and folders.
enum ShownName {
  /// The last part of a path.
  static func last(_ path: String) -> String {
    Printable.line(path.split(separator: "/").last.map(String.init) ?? path, limit: 120)
  }

  /// A checkpoint by its run and step.
  static func checkpoint(_ folder: String) -> String {
    let parts = folder.split(separator: "/").map(String.init)
    guard parts.count >= 3, parts[parts.count - 2] == "checkpoints" else { return last(folder) }
    return Printable.line("\(parts[parts.count - 3]), \(parts[parts.count - 1])", limit: 120)
  }
}
