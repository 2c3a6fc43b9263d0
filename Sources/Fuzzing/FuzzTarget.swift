import Dataset
import Evaluation
import ForeignWeights
import Monitor
import Storage
import TensorBoard
import Tensors
import Training

/// The readers of files that come from elsewhere, each made to read any bytes.
///
/// A reader may refuse, with a `Failure`, or accept; anything else is a finding: a trap, another error, an accepted value
/// that is not what it must be.
package enum FuzzTarget: String, CaseIterable, Sendable {
  case safetensors, npy, labels, jpeg, png, csv, ownData, imageList, msmt17, configuration, setting, state, manifest,
    pth, onnx, galleryIndex, galleryLabels, request, metrics, events

  /// Longer inputs are not made: what a reader does with more of the same is a matter of memory, not of cases.
  package static let longestInput = 4096

  /// Words of the format, for a fuzzer to put together.
  package var words: [[UInt8]] {
    switch self {
    case .safetensors: SafetensorsTarget.words.map { Array($0.utf8) }
    case .npy: Self.latin(NPYTarget.words)
    case .jpeg: Self.latin(JPEGTarget.words)
    case .png: Self.latin(PNGTarget.words)
    case .labels, .csv, .ownData, .imageList: CSVTarget.words.map { Array($0.utf8) }
    case .msmt17: MSMT17Target.words.map { Array($0.utf8) }
    case .configuration, .setting: ConfigurationTarget.words.map { Array($0.utf8) }
    case .state: StateTarget.words.map { Array($0.utf8) }
    case .manifest: ManifestTarget.words.map { Array($0.utf8) }
    case .pth: Self.latin(ForeignTarget.pickleWords)
    case .onnx: Self.latin(ForeignTarget.onnxWords)
    case .galleryIndex, .galleryLabels: GalleryIndexTarget.words.map { Array($0.utf8) }
    case .request: Self.latin(RequestTarget.words)
    case .metrics: MetricsTarget.words.map { Array($0.utf8) }
    case .events: Self.latin(EventsTarget.words)
    }
  }

  /// A scalar a byte.
  private static func latin(_ words: [String]) -> [[UInt8]] {
    words.map { word in word.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
  }

  fileprivate func reader(in folder: FuzzFolder) throws -> any FuzzReader {
    switch self {
    case .safetensors: SafetensorsTarget(folder)
    case .npy: NPYTarget(folder)
    case .labels: try LabelsTarget(folder)
    case .jpeg: JPEGTarget()
    case .png: PNGTarget()
    case .csv: CSVTarget(folder)
    case .ownData: try OwnDataTarget(folder)
    case .imageList: try ImageListTarget(folder)
    case .msmt17: try MSMT17Target(folder)
    case .configuration: ConfigurationTarget(folder)
    case .setting: SettingTarget()
    case .state: StateTarget(folder)
    case .manifest: try ManifestTarget(folder)
    case .pth: ForeignTarget(folder, "weights.pth")
    case .onnx: ForeignTarget(folder, "model.onnx")
    case .galleryIndex: try GalleryIndexTarget(folder, "index.json")
    case .galleryLabels: try GalleryIndexTarget(folder, "features.csv")
    case .request: try RequestTarget()
    case .metrics: try MetricsTarget(folder)
    case .events: EventsTarget(folder)
    }
  }
}

/// What a reader said to an input.
package enum FuzzOutcome: Sendable {
  case accepted
  case refused(Failure)
}

/// A target that is ready for inputs, with a folder of its own. For one thread at a time.
package final class FuzzRunner {
  package let target: FuzzTarget
  private let folder: FuzzFolder
  private let reader: any FuzzReader

  package init(_ target: FuzzTarget) throws {
    self.target = target
    folder = try FuzzFolder()
    reader = try target.reader(in: folder)
  }

  /// - Throws: a `FuzzFinding`, and nothing else.
  package func run(_ bytes: [UInt8]) throws -> FuzzOutcome { try Self.judge { try reader.read(bytes) } }

  /// The rule that every reader is held to.
  package static func judge(_ body: () throws -> Void) throws -> FuzzOutcome {
    do {
      try body()
      return .accepted
    } catch let failure as Failure {
      try FuzzFinding.require(failure.kind != .internal, "an internal failure: \(failure)")
      let isLine = !failure.message.contains("\n") && !failure.message.isEmpty && failure.message.count <= 4100
      try FuzzFinding.require(isLine, "a failure that is not one line: \(failure)")
      return .refused(failure)
    } catch let finding as FuzzFinding {
      throw finding
    } catch {
      throw FuzzFinding("an error that is not a Failure: \(type(of: error)): \(error)")
    }
  }
}

extension FuzzTarget {
  /// Reads the file at `path` as a command does, however large it is, for who measures memory.
  package func read(file path: String) throws {
    switch self {
    case .safetensors:
      let file = try SafetensorsFile(path: path)
      for name in file.names { _ = try file.values(name) }
    case .npy: _ = try NPY.read(path)
    case .jpeg, .png: _ = try ImageCodec.decode(path: path)
    case .csv: _ = try CSVTable(path: path)
    case .ownData: _ = try ReIDDataset.open(at: path)
    case .imageList: _ = try ImageList.read(path: path)
    case .configuration: _ = try Configuration.resolve(file: path)
    case .state: _ = try Checkpoint.State.read(path)
    case .pth, .onnx: for tensor in try ForeignFile(path: path).tensors { _ = try tensor.floats() }
    case .metrics: for kind in [MetricsTable.Kind.steps, .evaluations] { try MetricsTable(path, kind).csv { _ in } }
    case .events: _ = try EventRecord.content(of: try InputFile(path))
    case .labels, .msmt17, .setting, .manifest, .galleryIndex, .galleryLabels, .request:
      throw Failure.usage("\(rawValue) is not one file")
    }
  }
}
