import ArgumentParser
import Collectives
import ForeignWeights
import Foundation
import Tensors
import Training

extension ForeignTool: ExpressibleByArgument {}

/// A checkpoint's weights under the names of another tool.
struct ExportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the weights that a checkpoint retrieves by for another tool, as safetensors.",
    discussion:
      "The trunk goes under the names of torchvision, timm, torchreid, IBN-Net or fast-reid, with BNNeck and classifier of the first "
      + "head for fast-reid; what these have no place for is left, and listed. Counts of batches are not written: PyTorch's "
      + "load_state_dict does without them.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, help: "The safetensors file to write.") var output: String
  @Option(name: .long, help: "Whose names.") var names: ForeignTool

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      guard output.hasSuffix(".safetensors") else {
        throw Failure.usage("--output \(Printable.line(output))", "weights are written to a file named *.safetensors")
      }
      try Destination("--output", output).requireFile()
      let saved = try Checkpoint(path: checkpoint), (network, parameters) = try saved.network(Float.self)
      let export = try WeightExport(network, names)
      try export.write(parameters, to: output) { watchdog?.beat() }
      for name in export.left { print("left: \(name)") }
      if names == .fastReID, network.architecture.maxPool != .ceil {
        print("fast-reid's max pooling is that of model.maxPool=ceil; this network was trained with another")
      }
      print("\(output): \(export.taken.count) tensors of \(names.rawValue), \(export.left.count) left")
    }
  }
}
