import ArgumentParser
import Collectives
import Dataset
import Pictures
import Storage
import Tensors
import Training

/// Images beside the maps of a network, as in figures 3 and 4 of the paper.
struct VisualizeActivations: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "activations",
    abstract: "Draw images beside what a checkpoint's maps respond to: figures 3 and 4 of the paper.",
    discussion:
      "A map is the sum of the absolute values of its channels at each place, from its smallest to its largest. c1 … are the outputs of the "
      + "trunk's stages, p1 … the levels of the pyramid, f1 … what its bottlenecks make of them, as far as the network has "
      + "them. Images are resized to the network's input.")

  @Option(name: .long, help: "A checkpoint's folder, or a run's (its latest checkpoint).") var checkpoint: String
  @Option(
    name: .long, parsing: .upToNextOption, help: ArgumentHelp("JPEG or PNG files, a row each.", valueName: "file"))
  var image: [String]
  @OptionGroup var picture: PictureOptions
  @Flag(name: .long, help: "Lay the maps on the images, which are then gray.") var overlay = false
  @OptionGroup var options: ConfigurationOptions

  func validate() throws {
    if image.contains("") { throw ValidationError("--image: the path of a file is missing") }
    guard image.count <= 100 else { throw ValidationError("--image: \(image.count) files; 100 are drawn at most") }
  }

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 { try picture.require(besides: image + [options.config]) }
    let (job, _) = try CheckpointedJob.begin(checkpoint, options, communicator, watchdog) { _, _, _ in }
    func draw<E: Element>(_: E.Type) throws {
      let (network, parameters) = try job.checkpoint.network(E.self)
      let activations = Activations(
        network, parameters, job.configuration, job.machine.context(E.self, job.configuration))
      var rows: [ActivationSheet.Row] = [], damaged: [Failure] = []
      for path in image {
        do {
          rows.append(try activations.row(of: Sample(path: path, identity: -1, camera: -1)))
        } catch let reason as Failure where reason.kind == .data {
          damaged.append(reason)
        }
        watchdog?.beat()
      }
      if rows.isEmpty, let first = damaged.first { throw first }
      for reason in damaged { job.log.warning("left out: \(reason.message)") }
      let meaning = "Sum of the absolute values over the channels of each map, from its smallest to its largest"
      var sheet = ActivationSheet(
        "Activations of \(ShownName.checkpoint(job.checkpoint.folder))",
        "\(meaning): c are the trunk's stages"
          + (rows[0].maps.contains { $0.name == "p4" }
            ? ", p the pyramid's levels, f what its bottlenecks make of them." : "."),
        rows)
      sheet.isOverlaid = overlay
      try picture.write(sheet.drawing())
      job.log.info(
        "\(picture.output): \(rows.count) \(rows.count == 1 ? "image" : "images"), maps "
          + rows[0].maps.map(\.name).joined(separator: " "))
    }
    try communicator.onRank0 { try draw(job.configuration.precision.storage.element) }
  }
}
