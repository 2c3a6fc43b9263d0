import Foundation
import Storage
import Tensors

/// What is looked at before a run writes into a folder, so that nothing is found at the first save, hours later.
extension RunFolder {
  /// Throws `Failure.usage` where the folder is a file, or lies among the checkpoints of a run: that run would take what is
  /// written there for its own, and remove it.
  func requireFolderOfItsOwn() throws {
    if access(path, F_OK) == 0, !InputFile.isFolder(path) {
      throw Failure.usage(path, "is a file; --output needs a folder")
    }
    var folder = Self.resolved(path)
    while folder.count > 1 {
      if (try? Manifest.read(folder)) != nil {
        throw Failure.usage(path, "lies in the checkpoint \(folder); choose another --output")
      }
      let above = Self.divided(folder).above
      let isNamedSo = folder.hasSuffix("/checkpoints") && Self.isRun(above)
      if isNamedSo || CheckpointFolder(path: folder).holdsCheckpoints {
        throw Failure.usage(path, "lies among the checkpoints of the run \(above); choose another --output")
      }
      folder = above
    }
  }

  /// Without symbolic links, as far as it exists, and with `..` taken for what it is there.
  private static func resolved(_ path: String) -> String {
    if let real = realpath(path, nil) {
      defer { free(real) }
      return String(cString: real)
    }
    let (above, name) = divided(path)
    return path == above ? path : (above == "/" ? "" : resolved(above)) + "/" + name
  }

  /// The folder that a path lies in, and its name there; the root and the working folder lie in themselves. Foundation's
  /// `deletingLastPathComponent` traps where the path is a single letter.
  private static func divided(_ path: String) -> (above: String, name: String) {
    var path = path[...]
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    guard path != "/", path != "." else { return (String(path), "") }
    guard let slash = path.lastIndex(of: "/") else { return (".", String(path)) }
    let above = path[..<slash]
    return (above.isEmpty ? "/" : String(above), String(path[path.index(after: slash)...]))
  }

  /// Throws where something stands in the place of what the run will write, or what it has saved cannot be replaced.
  func requireReplaceable() throws {
    let files = ["config.yaml", "metrics.jsonl", "samples.jsonl", "strengths.jsonl", "ranks.jsonl", "log.txt"]
    for name in files where InputFile.isFolder("\(path)/\(name)") {
      throw Failure.usage("\(path)/\(name)", "is a folder, expected a file")
    }
    if InputFile.size(eventsPath) != nil { throw Failure.usage(eventsPath, "is a file, expected a folder") }
    for name in CheckpointFolder.pointers where Self.isItselfFolder("\(checkpoints.path)/\(name)") {
      throw Failure.usage("\(checkpoints.path)/\(name)", "is a folder, expected a file that names a checkpoint")
    }
    guard InputFile.isFolder(checkpoints.path) else { return }
    try Self.requireAccess(checkpoints.path)
    for generation in checkpoints.contents().own { try Self.requireAccess("\(checkpoints.path)/\(generation.name)") }
  }

  /// Not one that a link leads to: a link can be replaced.
  private static func isItselfFolder(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private static func requireAccess(_ folder: String) throws {
    guard access(folder, R_OK | W_OK | X_OK) != 0 else { return }
    throw Failure.internal(folder, "\(String(cString: strerror(errno))); it could be neither read nor replaced")
  }
}
