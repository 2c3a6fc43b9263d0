import Dataset
import Evaluation
import Foundation
import Storage
import TensorBoard
import Tensors
import Training

/// Small sound files, one or more a target, that a fuzzer begins with.
package enum FuzzSeeds {
  private static let image = "0000/0000_000_01_0303morning_0015_0.jpg"

  /// By the names of their files.
  package static func files(for target: FuzzTarget) throws -> [String: [UInt8]] {
    switch target {
    case .safetensors: ["types.safetensors": try safetensors()]
    case .npy:
      [
        "singles.npy": FuzzBytes.npy(rows: 2, columns: 3),
        "doubles.npy": FuzzBytes.npy(rows: 3, columns: 1, descr: "<f8"),
      ]
    case .labels: ["labels.csv": text("path,identity,camera\na.jpg,1,1\n\"b,\"\"c\"\".jpg\",-1,2\n")]
    case .jpeg: ["person.jpg": try jpeg()]
    case .png: png()
    case .csv:
      [
        "quoted.csv": text("\u{FEFF}path,identity\r\n\"a \"\"b\"\".jpg\", 0007\r\n\r\nc.jpg,7.0\r\n"),
        "names.csv": text("x,y\nann,1\n-3,2\n"),
      ]
    case .ownData:
      [
        "data.csv": text(
          "path,identity,camera,split\na.jpg,ann,1,train\nb.jpg,bob,1,query\nc.jpg,-1,\u{2212}2,gallery\n")
      ]
    case .imageList: ["list.csv": text("path,identity,camera\na.jpg,1,1\nb.jpg,-1,2\n")]
    case .msmt17: ["list.txt": text("\(image) 0\n\(image)\t17\r\n")]
    case .configuration:
      [
        "run.yaml": text(
          "model:\n  width: 0.25\n  stages: [2, 4]\nmsgr: {lambda: 1e-3, norm: \"2\", at: [input, 1]}\nthreads: 2\n"),
        "alias.yaml": text("model: &m\n  weights: null\ninput: {height: 64}\n# none\nlog:\n"),
      ]
    case .setting:
      [
        "list": text("schedule.steps=[1, 2]"), "number": text("optimizer.learningRate=1e-3"),
        "text": text("model.weights=a b"), "seed": text("seed=7"),
      ]
    case .state: ["state.json": try state()]
    case .manifest: ["manifest.json": text(manifest)]
    case .galleryIndex: ["index.json": text(GalleryIndexTarget.description)]
    case .galleryLabels: ["features.csv": text(GalleryIndexTarget.labels)]
    case .request:
      [
        "png": text("top=2&camera=1\n") + FuzzBytes.png(width: 1, height: 1, bits: 8, kind: 2, rows: [0, 9, 8, 7]),
        "jpeg": text("\n") + (try jpeg()),
      ]
    case .metrics: ["metrics.jsonl": text(metrics)]
    case .events: ["events": events()]
    // Benchmarks/reference/weight_files.py writes the corpus.
    case .pth, .onnx: [:]
    }
  }

  private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

  /// A tensor of each type, an empty one, and one without dimensions.
  private static func safetensors() throws -> [UInt8] {
    let folder = try FuzzFolder(), path = "\(folder.path)/seed"
    let values: [UInt8] = (0..<16).map { 0x38 + $0 }
    try values.withUnsafeBytes { bytes in
      let tensors = SafetensorsType.allCases.map { type in
        SafetensorsTensor(
          type.rawValue, shape: [2, 1], type: type, bytes: UnsafeRawBufferPointer(rebasing: bytes[..<(2 * type.bytes)]))
      }
      let empty = SafetensorsTensor("empty", shape: [0, 3], type: .float32) { [] }
      let scalar = SafetensorsTensor("scalar", shape: [], type: .float16) { [1] }
      try SafetensorsWriter.write(tensors + [empty, scalar], metadata: ["format": "pt"], to: path)
    }
    return try InputFile.read(path)
  }

  /// A generated person.
  private static func jpeg() throws -> [UInt8] {
    let folder = try FuzzFolder()
    var synthesizer = Synthesizer(identities: 4, images: 2, cameras: 2)
    (synthesizer.width, synthesizer.height) = (16, 32)
    let dataset = try synthesizer.write(to: "\(folder.path)/people")
    return try ImageCodec.read(dataset.train[0].path)
  }

  /// Colours with alpha, a palette with transparency, 16-bit gray; one has an orientation.
  private static func png() -> [String: [UInt8]] {
    let exif = Array("MM\0*\0\0\0\u{8}\0\u{1}\u{1}\u{12}\0\u{3}\0\0\0\u{1}\0\u{6}\0\0\0\0\0\0".utf8)
    func rows(_ count: Int, _ bytes: Int) -> [UInt8] {
      // Each begins with one of the five filters.
      (0..<count * (bytes + 1)).map { (place: Int) -> UInt8 in
        let (row, column) = place.quotientAndRemainder(dividingBy: bytes + 1)
        return UInt8(column == 0 ? row % 5 : (row * 31 + column * 7) % 256)
      }
    }
    let palette: [(String, [UInt8])] = [("PLTE", (0..<12).map { $0 * 20 }), ("tRNS", [0, 128])]
    return [
      "alpha.png": FuzzBytes.png(width: 4, height: 6, bits: 8, kind: 6, rows: rows(6, 16), before: [("eXIf", exif)]),
      "palette.png": FuzzBytes.png(
        width: 8, height: 2, bits: 2, kind: 3, rows: [0, 0x1B, 0xE4, 2, 0, 0], before: palette),
      "gray16.png": FuzzBytes.png(width: 3, height: 4, bits: 16, kind: 0, rows: rows(4, 6)),
    ]
  }

  private static func state() throws -> [UInt8] {
    let scale = DynamicScale(initial: 32768, growthInterval: 100, isDynamic: true)
    var state = Checkpoint.State(
      step: 40, updates: 39, lossScale: scale, best: Checkpoint.State.Best(mAP: 0.5, step: 20), identities: [1, 2, 7],
      configuration: Configuration())
    (state.strengthUpdates, state.averagedUpdates, state.frozenUpdates, state.tangentScale) = (3, 39, 2, scale)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return Array(try encoder.encode(state))
  }

  private static let metrics = """
    {"step": 1, "epoch": 1, "loss": 2.5, "crossEntropy": 2.25, "triplet": 0.25, "learningRate": 3.5e-05, "skipped": 0, \
    "images": 8, "seconds": 0.5, "convolutionShare": 0.5, "collectiveShare": 0, "loadingShare": 0.125}
    {"step": 2, "epoch": 2, "loss": null, "learningRate": 7e-05, "skipped": 1, "images": 8, "seconds": 0.25}
    {"step": 2, "epoch": 2, "mAP": 0.5, "rank1": 0.75, "B.mAP": 0.25, "B.rank1": null, "seconds": 1.5}

    """

  /// A version, a start, two numbers and a picture.
  private static func events() -> [UInt8] {
    let contents: [Event.Content] = [
      .version, .start, .summary([.scalar("train/loss", 2.5), .scalar("train/lr", 0)]),
      .summary([.image("train/batch", png: [1, 2, 3], width: 1, height: 1)]),
    ]
    return contents.enumerated().flatMap { EventRecord.framed(Event(step: $0, time: 1.7e9, content: $1).message) }
  }

  private static let manifest = """
    {"files":[{"bytes":0,"name":"a","sha256":"\(FuzzBytes.digestOfNothing)"},{"bytes":6,"name":"b",\
    "sha256":"f34b0a0c0171e568da3225e7b77e91a904ac175100a6ae01cf5f412a154a42d0"}],"folder":"step-00000001"}

    """
}
