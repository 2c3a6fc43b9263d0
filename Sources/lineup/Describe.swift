import ArgumentParser
import Collectives
import Foundation
import Network
import Tensors
import Training

/// The table of layers, and the memory that a rank needs.
struct Describe: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the layers with shapes, parameters and multiply-adds, and the memory of a rank.")

  @Option(name: .long, help: "Training identities: the classifier's outputs.") var identities = 751
  @Option(name: .long, help: "Ranks that share the batch.") var ranks = 1
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    guard identities > 0, ranks > 0 else { throw ValidationError("--identities and --ranks must be 1 or more") }
  }

  func run() {
    Job.run { communicator in
      try communicator.agree {
        guard communicator.isCoordinator else { return }
        try describe()
      }
    }
  }

  private func describe() throws {
    let configuration = try options.resolve()
    let machine = try Machine(SoloCommunicator(), threads: configuration.threads)
    let network = ReIDNetwork<Float>(Architecture(configuration.model, identities: identities))
    let rows = network.description(height: configuration.input.height, width: configuration.input.width)
    print(row("layer", "output", "parameters", "multiply-adds"))
    for layer in rows {
      let output = "\(layer.output.height)×\(layer.output.width)×\(layer.output.channels)"
      print(row(layer.name, output, "\(layer.parameters)", "\(layer.multiplyAdds)"))
    }
    let body = rows.dropLast()
    let parameters = body.reduce(0) { $0 + $1.parameters }, multiplyAdds = body.reduce(0) { $0 + $1.multiplyAdds }
    print(row("without the classifier", "", "\(parameters)", "\(multiplyAdds)"))
    print(
      String(
        format: "%.2f M parameters, %.2f G multiply-adds an image", Double(parameters) / 1e6, Double(multiplyAdds) / 1e9
      ))
    let batch = configuration.sampling.identities * configuration.sampling.images, images = (batch + ranks - 1) / ranks
    func account<E: Element>(_ element: E.Type) throws -> MemoryAccount {
      try MemoryAccount.training(element, images: images, identities: identities, configuration, machine)
    }
    let memory = try account(configuration.precision.storage.element)
    print("memory to train on \(images) images a rank, \(configuration.precision.storage.rawValue): \(memory.summary)")
  }

  private func row(_ name: String, _ output: String, _ parameters: String, _ multiplyAdds: String) -> String {
    func left(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    func right(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    return left(name, 24) + left(output, 14) + right(parameters, 12) + right(multiplyAdds, 16)
  }
}
