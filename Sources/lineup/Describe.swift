import ArgumentParser
import Collectives
import Foundation
import Network
import Tensors
import Training

/// The table of layers, and the memory that a rank needs.
struct Describe: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the layers with shapes, parameters and multiply-adds, and the memory of a rank.")

  /// Of a classifier; more would not fit any memory.
  static let identities = 1...10_000_000

  @Option(name: .long, help: "Training identities: the classifier's outputs.") var identities = 751
  @Option(name: .long, help: "Ranks that share the batch.") var ranks = 1
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    guard Self.identities.contains(identities), (1...100_000).contains(ranks) else {
      throw ValidationError("--identities must be from 1 to 10000000, --ranks from 1 to 100000")
    }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      try describe()
    }
  }

  private func describe() throws {
    let configuration = try options.resolve()
    let machine = try Machine(SoloCommunicator(), threads: configuration.threads)
    let network = ReIDNetwork<Float>(Architecture(configuration.model, identities: identities))
    let rows = try network.inventory(height: configuration.input.height, width: configuration.input.width).rows
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
    let batch = configuration.sampling.identities * configuration.sampling.images
    let images = Share.largest(of: batch, ranks: ranks)
    func rehearse<E: Element>(_ element: E.Type, _ configuration: Configuration) throws -> Rehearsal {
      try Rehearsal.step(element, images: images, ranks: ranks, identities: identities, configuration, machine)
    }
    let storage = configuration.precision.storage
    let step = try rehearse(storage.element, configuration)
    print(work("multiply-adds of a step, an image", step.multiplyAdds, images))
    if step.performed != step.multiplyAdds {
      print(work("of these Winograd's filtering leaves", step.performed, images))
    }
    print(traffic(step))
    if configuration.msgr.lambda > 0 {
      var without = configuration
      without.msgr.lambda = 0
      let plain = try rehearse(storage.element, without)
      print(work("without the gradient regularizer", plain.multiplyAdds, images))
      print(
        String(
          format: "with it %.2f times the multiply-adds and %.2f times the memory",
          Double(step.totalPerformed) / Double(plain.totalPerformed),
          Double(step.memory.total) / Double(plain.memory.total)))
    }
    print("memory to train on \(images) images a rank, \(storage.rawValue): \(step.memory.summary)")
  }

  /// What a step multiplies, by pass.
  private func work(_ title: String, _ multiplyAdds: [Work.Pass: Int], _ images: Int) -> String {
    func giga(_ count: Int) -> String { String(format: "%.2f G", Double(count) / Double(images) / 1e9) }
    let parts = Work.Pass.allCases.compactMap { pass in multiplyAdds[pass].map { "\(pass.rawValue) \(giga($0))" } }
    return "\(title): \(parts.joined(separator: ", ")); together \(giga(multiplyAdds.values.reduce(0, +)))"
  }

  /// What a step reads and writes.
  private func traffic(_ step: Rehearsal) -> String {
    func giga(_ bytes: Int) -> String { String(format: "%.2f GB", Double(bytes) / 1e9) }
    let parts = Work.Traffic.allCases.map { "\($0.rawValue) \(giga(step.traffic[$0] ?? 0))" }
    return
      "bytes moved by a step: \(parts.joined(separator: ", ")), optimizer \(giga(step.optimizerTraffic)); together "
      + giga(step.totalTraffic)
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
