import ArgumentParser
import Collectives
import Dataset
import Storage
import Tensors
import Training

/// One step on exactly these images, for comparison with other implementations and other numbers of ranks.
struct Probe: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write embedding, losses and gradients of one step on given images; or a fresh network.")

  @Option(name: .long, help: "Weights by torchvision's names (safetensors).") var weights: String?
  @Option(name: .long, help: "A checkpoint's folder, or a run's, instead of --weights; with its configuration.")
  var checkpoint: String?
  @Option(name: .long, help: "A CSV path,identity,camera: the global batch, in this order.") var images: String?
  @Option(name: .long, help: "Where to write the results (safetensors).") var output: String?
  @Option(name: .long, help: "Write a freshly initialized network here instead.") var initialize: String?
  @Option(name: .long, help: "Identities of the fresh network's classifier.") var identities: Int?
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    if initialize != nil {
      guard let identities else { throw ValidationError("--initialize needs --identities N") }
      guard Describe.identities.contains(identities) else {
        throw ValidationError("--identities must be from 1 to \(Describe.identities.upperBound)")
      }
      guard weights == nil, checkpoint == nil, images == nil, output == nil else {
        throw ValidationError("--initialize goes with --identities, --config and --set only")
      }
    } else {
      guard (weights == nil) != (checkpoint == nil), images != nil, output != nil else {
        throw ValidationError(
          "probe needs --weights or --checkpoint, --images and --output (or --initialize and --identities)")
      }
    }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let destination = initialize.map { Destination("--initialize", $0) } ?? Destination("--output", output!)
    try communicator.onRank0 { try destination.requireFile(besides: [weights, images, options.config]) }
    let saved = try communicator.agree {
      try checkpoint.map { try Checkpoint(path: $0, verified: communicator.isCoordinator) }
    }
    let configuration = try options.agreed(communicator) { try options.resolve(saved) }
    watchdog?.setLimit(seconds: configuration.watchdog.seconds)
    let machine = try communicator.agree { try Machine(communicator, threads: configuration.threads) }
    if let initialize {
      return try communicator.agree {
        guard communicator.isCoordinator else { return }
        try Training.Probe.initialize(output: initialize, identities: identities!, configuration, machine)
      }
    }
    var agreement = Agreement()
    let (file, samples) = try communicator.agree {
      let samples = try ImageList.read(path: images!), weights = weights ?? saved!.modelPath
      try configuration.data.faces.train.require(in: samples, of: images!, "data.faces.train")
      try destination.requireOther(than: samples.lazy.map(\.path))
      try agreement.addProgram(machine, configuration)
      agreement.add("the weights (SHA-256)", try SHA256.digest(ofFile: weights).sha256, .data)
      try agreement.add(samples, below: String(images![..<(images!.lastIndex(of: "/") ?? images!.startIndex)]))
      return (try SafetensorsFile(path: weights), samples)
    }
    try agreement.settle(communicator)
    func run<E: Element>(_ element: E.Type) throws {
      try Training.Probe.run(
        element, weights: file, checkpoint: saved, samples: samples, output: output!, configuration, machine)
    }
    try run(configuration.precision.storage.element)
  }
}
