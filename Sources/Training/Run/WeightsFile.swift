import Foundation
import Layers
import Network
import Storage
import Tensors

/// Parameters and running statistics in a safetensors file, by torchvision's names, OIHW.
///
/// float32, or float64 where the masters are.
package enum WeightsFile {
  /// What a file gave to a network.
  package struct Report: Sendable {
    package var loaded: [String] = []
    /// Tensors of the network that the file does not have; they keep their values.
    package var missing: [String] = []
    /// Tensors of the file that the network does not have.
    package var unused: [String] = []
    /// Tensors of both, of different shapes; the network keeps its values.
    package var mismatched: [(name: String, file: [Int], network: [Int])] = []

    private static var gain: String { ".gain" }

    /// Whether aligned filters came from weights that were trained without: what they are multiplied by follows from them.
    package var lacksGains: Bool { missing.contains { $0.hasSuffix(Self.gain) } }

    /// A trunk that is only in part that of the file is a mistake: every tensor of it has to have come, but those that are
    /// named by one of `allowed`, itself or a part of its name between dots.
    package func requireTrunk<E: Element>(of network: ReIDNetwork<E>, allowed: [String], _ path: String) throws {
      let wanting = (missing + mismatched.map(\.name)).filter { name in
        network.trunkTensors.contains(name) && !name.hasSuffix(Self.gain)
          && !allowed.contains { ".\(name).".contains(".\($0).") }
      }
      guard let first = wanting.first else { return }
      let shapes = mismatched.first { $0.name == first }
      throw Failure.data(
        path,
        (shapes.map { "tensor \(first) has shape \($0.file), this network needs \($0.network)" }
          ?? "has no tensor \(first)") + (wanting.count > 1 ? " (and \(wanting.count - 1) more of the trunk)" : "")
          + "; is it another trunk (model.trunk, model.norm, model.attention)? model.allowMissing names what may be missing"
      )
    }
  }

  /// The file that `model.weights` names.
  /// - Throws: `Failure.data`, for the files of other tools with what makes one of them.
  static func open(_ path: String) throws -> SafetensorsFile {
    let file = try InputFile(path)
    var begin = [UInt8](repeating: 0, count: min(9, file.size))
    try begin.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    // A zip archive, or a pickle, which a header of safetensors can begin like; ONNX has no mark of its own.
    let isPickle = begin.first == 0x80 && begin.last != UInt8(ascii: "{")
    if begin.starts(with: Array("PK".utf8)) || isPickle || path.hasSuffix(".onnx") {
      throw Failure.data(path, "not a safetensors file; `lineup import FILE --output X.safetensors` makes one of it")
    }
    return try SafetensorsFile(path: path)
  }

  /// The names of a file's tensors by those that a network knows.
  private static func names(_ file: SafetensorsFile) -> [String: String] {
    var names: [String: String] = [:]
    for name in file.names {
      let bare = PublishedTensors.bare(name)
      // Its own name comes first.
      if names[bare] == nil || bare == name { names[bare] = name }
    }
    return names
  }

  /// The tensors of `buffer` by the names of `layout`, each with `prefix` before it.
  package static func tensors<A: Element>(_ layout: ParameterLayout, _ buffer: Buffer<A>, prefix: String = "")
    -> [SafetensorsTensor]
  {
    layout.slots.map { slot in
      if A.self == Double.self {
        return .doubles(prefix + slot.name, shape: slot.shape) {
          ParameterLayout.toFile(slot, buffer.pointer) as! [Double]
        }
      }
      return SafetensorsTensor(prefix + slot.name, shape: slot.shape) {
        ParameterLayout.toFile(slot, buffer.pointer) as! [Float]
      }
    }
  }

  package static func write<E: Element>(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>, to path: String, progress: () -> Void = {}
  ) throws {
    try SafetensorsWriter.write(
      tensors(network.layout, parameters.values) + tensors(network.statistics, parameters.statistics),
      metadata: ["format": "lineup"], to: path, progress: progress)
  }

  /// Loads what fits. Only a file that cannot be read throws.
  package static func load<E: Element>(
    _ file: SafetensorsFile, into network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>
  ) throws -> Report {
    var report = Report()
    let names = names(file)
    for (layout, buffer) in [(network.layout, parameters.values), (network.statistics, parameters.statistics)] {
      for slot in layout.slots {
        guard let name = names[slot.name] else {
          report.missing.append(slot.name)
          continue
        }
        let shape = try file.shape(name)
        guard PublishedTensors.areAlike(shape, slot.shape) else {
          report.mismatched.append((slot.name, shape, slot.shape))
          continue
        }
        try read(file, name, slot, into: buffer)
        report.loaded.append(slot.name)
      }
    }
    report.unused = names.filter { bare, _ in
      network.layout[bare] == nil && network.statistics[bare] == nil && !bare.hasSuffix(".num_batches_tracked")
    }.map(\.value).sorted()
    return report
  }

  /// Loads every tensor of the network, or throws a `Failure.data` that names the first one missing or of another
  /// shape.
  package static func loadAll<E: Element>(
    _ file: SafetensorsFile, into network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>
  ) throws {
    let report = try load(file, into: network, parameters)
    if let (name, shape, expected) = report.mismatched.first {
      throw Failure.data(file.path, "tensor \(name) has shape \(shape), this network needs \(expected)")
    }
    if let name = report.missing.first {
      let more = report.missing.count > 1 ? " (and \(report.missing.count - 1) more)" : ""
      throw Failure.data(file.path, "tensor \(name)\(more) of this network is not in it")
    }
    if let name = report.unused.first {
      throw Failure.data(
        file.path, "tensor \(name) is not of this network; is model.* configured as it was trained?")
    }
  }

  /// Reads one tensor in file order into its slot of a flat buffer.
  /// - Throws: `Failure.data` with file and tensor, also for numbers that no training has made: ones that are not finite, and
  ///   variances and second moments below zero.
  package static func read<A: Element>(
    _ file: SafetensorsFile, _ name: String, _ slot: ParameterLayout.Slot, into buffer: Buffer<A>
  ) throws {
    let values: [A]
    if A.self == Double.self {
      let doubles = try file.values(name, as: Double.self)
      try require(file, name, isFinite: doubles.allSatisfy(\.isFinite), smallest: { doubles.min() ?? 0 })
      values = doubles as! [A]
    } else {
      let floats = try file.values(name, as: Float.self)
      try require(file, name, isFinite: floats.allSatisfy(\.isFinite), smallest: { Double(floats.min() ?? 0) })
      values = floats as! [A]
    }
    guard values.count == slot.count else {
      throw Failure.data(file.path, "tensor \(name) has \(values.count) values, expected \(slot.count)")
    }
    ParameterLayout.fromFile(slot, values, to: buffer.pointer)
  }

  private static func require(_ file: SafetensorsFile, _ name: String, isFinite: Bool, smallest: () -> Double) throws {
    guard isFinite else { throw Failure.data(file.path, "tensor \(name) holds an infinity or a NaN") }
    guard name.hasSuffix(".running_var") || ["v.", "largest."].contains(where: name.hasPrefix),
      case let value = smallest(), value < 0
    else { return }
    throw Failure.data(file.path, "tensor \(name) holds \(value), expected none below zero")
  }
}
