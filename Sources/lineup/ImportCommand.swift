import ArgumentParser
import Collectives
import ForeignWeights
import Foundation
import Network
import Storage
import Tensors
import Training

/// Weights of another tool under Lineup's names.
struct ImportCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Say where the tensors of a .pth, .onnx or safetensors file go, and write them as safetensors.",
    discussion:
      "Reads what torch.save writes, of any version, without executing anything in it; the initializers of ONNX; and "
      + "safetensors. Each tensor is a line with what Lineup calls it, or why it is left. float64 stays float64, all else is "
      + "written as float32; model.weights takes the file.")

  @Argument(help: "The file.") var file: String
  @Option(name: .long, help: "The safetensors file to write; without it nothing is written.") var output: String?
  @Option(
    name: .long, help: "The name in model.heads of the head that a head's tensors go to; without it the paper's own.")
  var head: String?
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Take the weights whose names begin so, where a file has several, averaged ones say; without it those that have least "
        + "before their names.", valueName: "ema"))
  var under: String?
  @Option(name: .long, help: "Write the table here too, as JSON, an object a line.") var json: String?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    try communicator.onRank0 {
      if let head, !HeadOptions.isName(head) {
        throw Failure.usage("--head \(Printable.line(head, limit: 60))", "expected 1 to 32 letters, digits and hyphens")
      }
      for (option, path) in [("--output", output), ("--json", json)] {
        if let path { try Destination(option, path).requireFile(besides: [file, option == "--json" ? output : nil]) }
      }
      let weights = WeightImport(try ForeignFile(path: file), head: head, under: under)
      if let under, !weights.file.tensors.contains(where: { $0.name.hasPrefix("\(under).") }) {
        throw Failure.usage("--under \(under)", "no tensor of \(file) has a name that begins so")
      }
      print(table(weights), terminator: "")
      for line in summary(weights) { print(line) }
      if let json { try AtomicFiles.write(try lines(weights), to: json) }
      guard let output else { return }
      try weights.write(to: output) { watchdog?.beat() }
      print("\(output): \(weights.takenCount) tensors")
    }
  }

  // MARK: - The table

  private func table(_ weights: WeightImport) -> String {
    let tensors = weights.file.tensors
    let names = tensors.map { Printable.line($0.name, limit: 120) },
      shapes = tensors.map { WeightImport.text($0.shape) }
    let widths = [names, shapes, tensors.map(\.type.rawValue)].map { texts in min(60, texts.map(\.count).max() ?? 0) }
    func padded(_ text: String, _ column: Int) -> String {
      text + String(repeating: " ", count: max(0, widths[column] - text.count) + 2)
    }
    var table = ""
    for (index, tensor) in tensors.enumerated() {
      table += padded(names[index], 0) + padded(shapes[index], 1) + padded(tensor.type.rawValue, 2)
      switch weights.fates[index] {
      case .taken(let name, _): table += "→ \(name)\n"
      case .left(let why): table += "left: \(why)\n"
      }
    }
    for (name, what) in weights.file.others {
      table += padded(Printable.line(name, limit: 120), 0) + "left: \(Printable.line(what, limit: 120))\n"
    }
    return table
  }

  private func summary(_ weights: WeightImport) -> [String] {
    let file = weights.file, left = file.tensors.count - weights.takenCount
    var reasons: [String: Int] = [:]
    for case .left(let why) in weights.fates { reasons[why, default: 0] += 1 }
    let counts = reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(4).map { "\($0.value) \($0.key)" }
    var lines = [
      "\(file.kind.rawValue): \(file.tensors.count) tensors, \(weights.takenCount) taken, \(left) left"
        + (counts.isEmpty ? "" : " (\(counts.joined(separator: "; "))\(reasons.count > 4 ? "; …" : ""))")
    ]
    guard let trunk = weights.trunk else { return lines + ["looks like no network that Lineup knows"] }
    if let head, !weights.takes(head: head) { lines.append("--head \(head): no tensor of a head is among those taken") }
    let missing = weights.missing
    lines.append(
      "looks like \(trunk.settings.joined(separator: " ")): "
        + (missing.isEmpty
          ? "all tensors of that trunk are there"
          : "\(missing.count) tensors of that trunk are missing, \(missing[0]) among them"))
    if file.kind == .onnx, trunk.norm == .bias || missing.contains(where: { $0.hasSuffix("running_mean") }) {
      lines.append(
        "norms may have been folded into convolutions, which no network here takes: export in training mode (torch.onnx.export "
          + "with training=TrainingMode.TRAINING, do_constant_folding=False)")
    }
    return lines
  }

  // MARK: - JSON

  private struct Row: Encodable {
    let tensor: String
    var shape: [Int]?, type: String?, name: String?, left: String?
  }

  private struct Result: Encodable {
    let kind: String, tensors: Int, taken: Int, trunk: String?, norm: String?, width: Double?, missing: [String]
  }

  private func lines(_ weights: WeightImport) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    func line(_ value: some Encodable) throws -> String {
      String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }
    var text = ""
    for (tensor, fate) in zip(weights.file.tensors, weights.fates) {
      var row = Row(tensor: tensor.name, shape: tensor.shape, type: tensor.type.rawValue)
      switch fate {
      case .taken(let name, _): row.name = name
      case .left(let why): row.left = why
      }
      text += try line(row)
    }
    for (name, what) in weights.file.others { text += try line(Row(tensor: name, left: what)) }
    let trunk = weights.trunk
    return text
      + (try line(
        Result(
          kind: weights.file.kind.rawValue, tensors: weights.file.tensors.count, taken: weights.takenCount,
          trunk: trunk?.kind.rawValue, norm: trunk?.norm.rawValue, width: trunk?.width, missing: weights.missing)))
  }
}
