import Foundation
import Storage
import Tensors
import Training

/// A configuration file; accepted, it is written out in full and read back.
struct ConfigurationTarget: FuzzReader {
  static let words =
    ConfigurationKey.all.map { "\($0.path.split(separator: ".").last ?? ""): " }
    + ConfigurationSection.names.map { "\($0):\n" }
    + [
      "null", "true", "[", "]", "{", "}", "&a ", "*a", "!!int ", "<<: ", "? ", "- ", "1e400", ".inf", ".nan", "0x10",
      "1:30",
    ]
  private let folder: FuzzFolder
  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let configuration = try Configuration.resolve(file: try folder.file("config.yaml", bytes))
    let again = try Configuration.resolve(file: try folder.file("again.yaml", Array(configuration.yaml().utf8)))
    try FuzzFinding.require(again == configuration, "a configuration that does not read back")
  }
}

/// `--set key=value`.
struct SettingTarget: FuzzReader {
  func read(_ bytes: [UInt8]) throws {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure.usage("not UTF-8") }
    let configuration = try Configuration.resolve(settings: [text])
    let changes = try configuration.differences(from: Configuration())
    try FuzzFinding.require(changes.count <= 16, "a setting that changes \(changes.count) keys")
  }
}

/// Where a run stands, as a checkpoint has it.
struct StateTarget: FuzzReader {
  static let words = [
    "\"version\":1", "\"step\":", "\"updates\":", "\"strengthUpdates\":", "\"lossScale\":", "\"tangentScale\":",
    "\"best\":",
    "\"mAP\":", "\"identities\":", "\"scale\":", "\"cleanSteps\":", "\"skipped\":", "\"row\":", "\"growthInterval\":",
    "\"isDynamic\":", "true", "false", "null", "1e308", "-1", "9223372036854775807", "[1,2]", "4.9e-324",
  ]
  private let folder: FuzzFolder
  init(_ folder: FuzzFolder) { self.folder = folder }

  func read(_ bytes: [UInt8]) throws {
    let state = try Checkpoint.State.read(try folder.file("state.json", bytes))
    // What a run does with it first.
    var scale = DynamicScale(initial: 1, growthInterval: 10, isDynamic: true)
    scale.resume(from: state.lossScale)
    for finite in [true, false, true] { _ = scale.update(finite: finite) }
    try FuzzFinding.require(scale.scale > 0 && scale.scale.isFinite, "a loss scale of \(scale.scale)")
    let written = try JSONEncoder().encode(state)
    let again = try Checkpoint.State.read(try folder.file("again.json", Array(written)))
    try FuzzFinding.require(again == state, "a state that does not read back")
  }
}

/// A manifest of two files, one of them its own size.
struct ManifestTarget: FuzzReader {
  static let words = [
    "\"files\":[", "\"folder\":", "\"name\":", "\"bytes\":", "\"sha256\":", "\"a\"", "\"b\"", "\"..\"", "\"\"",
    "\"../a\"",
    "\"manifest.json\"", "\"a\\u0000\"", "\"bytes\":0,", "9223372036854775807", "-1", FuzzBytes.digestOfNothing,
  ]
  private let folder: FuzzFolder

  init(_ folder: FuzzFolder) throws {
    self.folder = folder
    try folder.file("a", [])
    try folder.file("b", Array("lineup".utf8))
  }

  func read(_ bytes: [UInt8]) throws {
    try folder.file(Manifest.name, bytes)
    let manifest = try Manifest.read(folder.path), problem = manifest.problem(in: folder.path)
    let verified = try Manifest.verify(folder.path)
    try FuzzFinding.require(verified == manifest, "a manifest that is another when it is verified")
    try FuzzFinding.require(problem == nil, "verified, and yet: \(problem ?? "")")
    let names = Set(manifest.files.map(\.name))
    try FuzzFinding.require(names.isSubset(of: ["a", "b"]), "a file that is not of the folder: \(names)")
  }
}
