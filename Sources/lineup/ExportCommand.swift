import ArgumentParser
import Collectives
import ForeignWeights
import Foundation
import Layers
import Network
import Tensors
import Training

extension ForeignTool: ExpressibleByArgument {}

/// A checkpoint for other programs: its network as a model, or its weights under the names of another tool.
struct ExportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract:
      "Write the network that a checkpoint retrieves by as an ONNX model, or its weights for another tool as safetensors.",
    discussion:
      "NAME.onnx: input `images`, N×3×H×W of float32, RGB; output `embedding`, N×C, descriptors of all heads that are retrieved by, not "
      + "of unit length, of the image as it is (without evaluation.flip). Its properties say the size, the order of channels, the "
      + "normalization and where the weights come from.\n\n"
      + "NAME.safetensors, with --names: the trunk under the names of torchvision, timm, torchreid, IBN-Net or fast-reid, with "
      + "BNNeck and classifier of the first "
      + "head for fast-reid; what these have no place for is left, and listed. Counts of batches are not written: PyTorch's "
      + "load_state_dict does without them.")

  enum Format: String, CaseIterable, ExpressibleByArgument { case onnx, safetensors }
  enum Normalization: String, CaseIterable, ExpressibleByArgument { case inside, outside }

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(name: .long, help: "The file to write, NAME.onnx or NAME.safetensors.") var output: String
  @Option(name: .long, help: "What its name says, where given.") var format: Format?
  @Option(name: .long, help: "Of safetensors: whose names.") var names: ForeignTool?
  @Option(
    name: .long,
    help:
      "Of ONNX: whether the model normalizes images of 0 to 255 itself, or takes normalized ones (as trackers give it). (default: outside)"
  )
  var normalization: Normalization?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      let format = try settledFormat()
      switch (format, names, normalization) {
      case (.safetensors, nil, _):
        throw Failure.usage(
          "--names", "is missing: one of \(ForeignTool.allCases.map(\.rawValue).joined(separator: ", "))")
      case (.safetensors, _, .some):
        throw Failure.usage("--normalization", "is of ONNX models; weights are written to \(Printable.line(output))")
      case (.onnx, .some, _):
        throw Failure.usage("--names", "is of safetensors; a model is written to \(Printable.line(output))")
      default: break
      }
      try Destination("--output", output).requireFile()
      let saved = try Checkpoint(path: checkpoint)
      if let names, format == .safetensors {
        try writeWeights(of: saved, names) { watchdog?.beat() }
      } else {
        try writeModel(of: saved) { watchdog?.beat() }
      }
    }
  }

  /// By the name of the output, with which `--format` has to agree.
  private func settledFormat() throws -> Format {
    guard let named = Format.allCases.first(where: { output.lowercased().hasSuffix(".\($0.rawValue)") }) else {
      throw Failure.usage(
        "--output \(Printable.line(output))", "models are written to a file named *.onnx, weights to *.safetensors")
    }
    if let format, format != named {
      throw Failure.usage("--output \(Printable.line(output))", "--format is \(format.rawValue)")
    }
    return named
  }

  private func writeWeights(of saved: Checkpoint, _ names: ForeignTool, _ progress: () -> Void) throws {
    let (network, parameters) = try saved.network(Float.self)
    let export = try WeightExport(network, names)
    try export.write(parameters, to: output, progress: progress)
    for name in export.left { print("left: \(name)") }
    if names == .fastReID, network.architecture.maxPool != .ceil {
      print("fast-reid's max pooling is that of model.maxPool=ceil; this network was trained with another")
    }
    print("\(output): \(export.taken.count) tensors of \(names.rawValue), \(export.left.count) left")
  }

  private func writeModel(of saved: Checkpoint, _ progress: () -> Void) throws {
    let (network, parameters) = try saved.network(Float.self)
    progress()
    let input = saved.state.configuration.input, isInside = normalization == .inside
    let graph = InferenceGraph(parameters, height: input.height, width: input.width)
    let images = isInside ? graph.normalized(graph.images) : graph.images
    let embedding = network.express(images, in: graph)
    let model = ONNXModel(
      graph, output: embedding, metadata: properties(of: saved, network, length: embedding.extent[0], isInside))
    progress()
    try model.write(to: output)
    print(
      "\(output): images N×3×\(input.height)×\(input.width) (RGB, normalized \(isInside ? "inside" : "outside")) to embedding "
        + "N×\(embedding.extent[0]), opset \(InferenceGraph.opset), \(graph.nodes.count) nodes")
  }

  private func properties(
    of saved: Checkpoint, _ network: ReIDNetwork<Float>, length: Int, _ isInside: Bool
  ) -> [(key: String, value: String)] {
    let input = saved.state.configuration.input
    func list(_ values: [Double]) -> String { values.map { "\($0)" }.joined(separator: ",") }
    return [
      ("lineup.version", Version.current), ("lineup.step", "\(saved.state.step)"),
      ("trunk", network.architecture.trunk.rawValue), ("input.height", "\(input.height)"),
      ("input.width", "\(input.width)"), ("input.layout", "NCHW"), ("input.channels", "RGB"),
      ("input.range", isInside ? "0..255" : "(x / 255 - mean) / deviation"),
      ("normalization", isInside ? "inside" : "outside"), ("normalization.mean", list(ImageNet.mean)),
      ("normalization.deviation", list(ImageNet.deviation)), ("embedding.length", "\(length)"),
      ("embedding.unitLength", "false"),
    ]
  }
}
