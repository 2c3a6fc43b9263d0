import Foundation
import Storage
import Tensors

/// `RUN/checkpoints`: the last n checkpoints, the best and the proven one, and pointers to these and to the latest.
///
/// Proven is the newest checkpoint that a step which counted began from: one whose numbers are finite may be ruined.
///
/// A checkpoint belongs to the run where its manifest has the name that its folder has. Nothing else in the folder, a copy
/// under another name among it, is ever removed.
package struct CheckpointFolder: Sendable {
  package let path: String

  package init(path: String) { self.path = path }

  /// One of the run's checkpoints.
  package struct Generation: Sendable, Equatable {
    package let name: String
    package let step: Int
    /// Of all its files, by the manifest.
    package let bytes: Int
    /// What is wrong with it at a glance (sizes, not content), or nil.
    package let problem: String?
  }

  // MARK: - What is there

  /// The names that the pointers hold, where they and their checkpoints exist.
  package var latest: String? { pointer("latest") }
  package var best: String? { pointer("best") }
  package var proven: String? { pointer("proven") }
  package static let pointers = ["latest", "best", "proven"]

  /// The pointers with what they hold.
  package var marks: [(name: String, target: String?)] { Self.pointers.map { ($0, pointer($0)) } }

  private func pointer(_ name: String) -> String? {
    guard let target = try? written(in: name) else { return nil }
    return InputFile.size("\(path)/\(target)/\(Manifest.name)") == nil ? nil : target
  }

  /// What a pointer says, whether its checkpoint is there or not; nil where it says nothing of use. It never leads out of
  /// the folder.
  /// - Throws: `Failure.data` where there is something that cannot be read.
  func written(in name: String) throws -> String? {
    var status = stat()
    if lstat("\(path)/\(name)", &status) != 0 && [ENOENT, ENOTDIR].contains(errno) { return nil }
    let text = try InputFile.text("\(path)/\(name)", limit: 4096)
    let target = text.trimmingCharacters(in: .whitespacesAndNewlines)
    return target.isEmpty || target.contains("/") || target.hasPrefix(".") ? nil : target
  }

  /// The run's checkpoints by their steps, good or not; and the names of the other folders that look like some.
  package func contents() -> (own: [Generation], others: [String]) {
    var own: [Generation] = [], others: [String] = []
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] where name.hasPrefix("step-") {
      guard let step = Self.step(of: name) else {
        others.append(name)
        continue
      }
      do {
        let manifest = try Manifest.read("\(path)/\(name)")
        guard manifest.folder ?? name == name else {
          others.append(name)
          continue
        }
        let bytes = manifest.files.reduce(0) { $0 &+ $1.bytes }
        own.append(
          Generation(
            name: name, step: step, bytes: bytes,
            problem: Checkpoint.problem(of: manifest) ?? manifest.problem(in: "\(path)/\(name)")))
      } catch {
        own.append(Generation(name: name, step: step, bytes: 0, problem: "\(error)"))
      }
    }
    return (own.sorted { $0.step < $1.step }, others.sorted())
  }

  /// Something that a run which began anew would put at risk.
  package var holdsAnything: String? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return latest ?? names.filter { $0.hasPrefix("step-") }.max() ?? names.first(where: Self.pointers.contains)
  }

  /// Whether there are folders with the names of checkpoints, good or not.
  var holdsCheckpoints: Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.contains { $0.hasPrefix("step-") && Self.step(of: $0) != nil }
  }

  /// The checkpoint to go on from: the latest, or where that is missing or damaged the newest good one; with a line for
  /// each that was passed over. nil where there never was one.
  /// - Throws: `Failure.data` where there are checkpoints and none is good.
  package func toResume() throws -> (checkpoint: Checkpoint, passedOver: [String])? {
    var problems: [String] = []
    var candidates = contents().own.reversed().map(\.name)
    do {
      if let latest = try written(in: "latest") {
        candidates.removeAll { $0 == latest }
        candidates.insert(latest, at: 0)
      } else if access("\(path)/latest", F_OK) == 0 {
        problems.append("\(path)/latest: does not name a checkpoint")
      } else if !candidates.isEmpty {
        problems.append("\(path)/latest: missing")
      }
    } catch let failure as Failure {
      problems.append(failure.message)
    }
    for name in candidates {
      do {
        let manifest = try Manifest.read("\(path)/\(name)")
        guard manifest.folder ?? name == name else {
          throw Failure.data("\(path)/\(name)", "holds what was saved as \(manifest.folder!)")
        }
        return (try Checkpoint(path: "\(path)/\(name)"), problems)
      } catch let failure as Failure {
        problems.append(failure.message)
      }
    }
    guard let first = problems.first else { return nil }
    let more = problems.count > 1 ? " (and \(problems.count - 1) more)" : ""
    throw Failure.data(path, "no good checkpoint to go on from: \(first)\(more); --restart begins anew")
  }

  // MARK: - Changes

  /// Writes a checkpoint aside, renames it, and moves `latest` last. Returns its name.
  /// - Parameters:
  ///   - moments: of all parameters.
  ///   - progress: called now and then meanwhile.
  package func save<E: Element>(
    _ step: TrainingStep<E>, _ moments: [(prefix: String, values: Buffer<E.Accumulator>)], _ state: Checkpoint.State,
    progress: () -> Void = {}
  ) throws -> String {
    // The run's folder is there, or was taken away; then it is not made again.
    try AtomicFiles.makeDirectory(path, withParents: false)
    try AtomicFiles.cleanLeftovers(in: path)
    let name = Self.name(state.step)
    try AtomicFiles.writeDirectory("\(path)/\(name)") {
      try Checkpoint.write(step, moments, state, into: $0, folder: name, progress: progress)
    }
    try markLatest(name)
    return name
  }

  /// From now on the checkpoint of this name is the latest, the best, proven.
  package func markLatest(_ name: String) throws { try point("latest", to: name) }
  package func markBest(_ name: String) throws { try point("best", to: name) }
  package func markProven(_ name: String) throws { try point("proven", to: name) }

  private func point(_ pointer: String, to name: String) throws {
    try AtomicFiles.write(to: "\(path)/\(pointer)", throughDevices: false) { try $0.write(name + "\n") }
  }

  /// Removes the run's checkpoints but the newest `keep` good ones, the latest, the best and the proven one. Returns the
  /// names removed.
  /// - Parameter reading: whether good means that the content is what its manifest says, and not sizes alone; a run that has
  ///   just written one knows that one is.
  @discardableResult
  package func prune(keep: Int, reading: Bool = false) throws -> [String] {
    let own = contents().own
    func isGood(_ generation: Generation) -> Bool {
      generation.problem == nil && (!reading || (try? Checkpoint(path: "\(path)/\(generation.name)")) != nil)
    }
    var kept = Set(own.reversed().lazy.filter(isGood).prefix(max(1, keep)).map(\.name))
    // Without a good one to go on from, a damaged one may still be worth something to somebody.
    if kept.isEmpty { return [] }
    for pointer in Self.pointers where access("\(path)/\(pointer)", F_OK) == 0 {
      // One that cannot be read now may name any of them.
      guard let text = try? InputFile.text("\(path)/\(pointer)", limit: 4096) else { return [] }
      kept.insert(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }
    let removed = own.filter { !kept.contains($0.name) && ($0.problem == nil || isDamaged($0.name)) }.map(\.name)
    for name in removed {
      do {
        try FileManager.default.removeItem(atPath: "\(path)/\(name)")
      } catch {
        throw Failure.internal("\(path)/\(name)", "cannot be removed: \(error.localizedDescription)")
      }
    }
    return removed
  }

  /// Looks again: one that could not be read, or cannot, is not damaged for that.
  private func isDamaged(_ name: String) -> Bool {
    let folder = "\(path)/\(name)", manifest = "\(folder)/\(Manifest.name)"
    guard access(manifest, F_OK) == 0 else { return true }
    guard (try? InputFile.read(manifest, limit: 1 << 20)) != nil else { return false }
    guard let manifest = try? Manifest.read(folder) else { return true }
    return manifest.problem(in: folder) != nil
  }

  // MARK: - Names

  package static func name(_ step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  /// The step of a name that `name` gives; nil for any other.
  static func step(of name: String) -> Int? {
    Int(name.dropFirst("step-".count)).flatMap { Self.name($0) == name ? $0 : nil }
  }
}

extension Checkpoint {
  /// The folder of a checkpoint that `path` means: itself, what a `latest` in it points to, or what it points to where it is such a
  /// pointer (`RUN/checkpoints/best`).
  static func resolve(_ path: String) throws -> String {
    if try !isThere(path) { throw Failure.data(path, "no such checkpoint") }
    let url = URL(fileURLWithPath: path)
    if CheckpointFolder.pointers.contains(url.lastPathComponent), !InputFile.isFolder(path) {
      let folder = url.deletingLastPathComponent().relativePath
      if let name = try CheckpointFolder(path: folder).written(in: url.lastPathComponent) { return "\(folder)/\(name)" }
    }
    if try isThere("\(path)/\(Manifest.name)") { return path }
    for folder in [path, "\(path)/checkpoints"] {
      if let name = try CheckpointFolder(path: folder).written(in: "latest") { return "\(folder)/\(name)" }
    }
    throw Failure.data(path, "no checkpoint in it (looked for manifest.json, latest and checkpoints/latest)")
  }
}
