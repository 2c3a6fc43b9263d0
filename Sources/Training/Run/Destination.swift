import Dataset
import Foundation
import Storage
import Tensors

/// Where a command is going to write, looked at before it computes: what took hours must not be lost for want of a folder,
/// nor take the place of what it was computed from.
package struct Destination {
  /// As errors name it.
  private let option: String
  private let path: String

  package init(_ option: String, _ path: String) { (self.option, self.path) = (option, path) }

  /// For a file that is made, or replaced where it is there.
  /// - Parameter inputs: files that the command reads; nil for those that it was not given.
  /// - Throws: `Failure.usage`; `Failure.internal` where the system takes no file there.
  package func requireFile(besides inputs: [String?] = []) throws {
    if path.isEmpty { throw Failure.usage(option, "the path of a file is missing") }
    if InputFile.isFolder(path) || path.hasSuffix("/") { throw refusal("is a folder") }
    try requireOther(than: inputs.lazy.compactMap { $0 })
    let (folder, name) = place
    guard InputFile.isFolder(folder) else { throw refusal("there is no folder \(folder)") }
    if Self.isOfCheckpoint(folder) || RunFolder.isRun(folder) && RunFolder.ownNames.contains(name) {
      throw refusal("is a run's own")
    }
    try AtomicFiles.requireWritable(path)
  }

  /// For a folder that is made, or filled where it is there.
  package func requireFolder() throws {
    if path.isEmpty { throw Failure.usage(option, "the path of a folder is missing") }
    if FileIdentity(path) != nil && !InputFile.isFolder(path) { throw refusal("is no folder") }
    let (folder, name) = place
    if Self.isOfCheckpoint(path) || Self.isOfCheckpoint(folder) || RunFolder.isRun(folder) && name == "checkpoints" {
      throw refusal("is a run's own")
    }
  }

  /// For a folder that is replaced or filled as a whole.
  /// - Parameter own: names of what belongs to `what`, such as "an index".
  package func requireNothing(but own: Set<String>, of what: String) throws {
    guard InputFile.isFolder(path), let other = try Folder.names(in: path).filter({ !own.contains($0) }).min() else {
      return
    }
    throw refusal("holds something else than \(what) (\(Printable.line(other, limit: 100))); name another folder")
  }

  /// Where a folder holds a run, which is for training alone.
  package func requireNoRun() throws {
    if RunFolder.isRun(path) { throw refusal("holds a run") }
  }

  /// - Parameter inputs: files that the command reads, as many as there are.
  package func requireOther(than inputs: some Sequence<String>) throws {
    guard let own = FileIdentity(path) else { return }
    if let input = inputs.first(where: { FileIdentity($0) == own }) {
      throw refusal("would replace \(input), which is read")
    }
  }

  /// Neither over an image of `dataset` nor, where its images are whatever is in its folders, as one more of them.
  package func require(besides dataset: ReIDDataset) throws {
    try requireOther(than: dataset.paths)
    let (folder, name) = place
    guard [".png", ".jpg", ".jpeg"].contains(where: { name.lowercased().hasSuffix($0) }),
      InputFile.isFolder(dataset.root),
      let own = FileIdentity(folder)
    else { return }
    let folders = Set(dataset.paths.map { $0[..<($0.lastIndex(of: "/") ?? $0.startIndex)] })
    if folders.contains(where: { FileIdentity(String($0)) == own }) {
      throw refusal("is among the images of \(dataset.root)")
    }
  }

  /// Through links, as the system goes.
  private var place: (folder: String, name: String) {
    let url = URL(fileURLWithPath: path)
    return (url.deletingLastPathComponent().resolvingSymlinksInPath().path, url.lastPathComponent)
  }

  /// A checkpoint's folder, or the one that checkpoints are in.
  private static func isOfCheckpoint(_ folder: String) -> Bool {
    let files = ["manifest.json", "state.json"].allSatisfy { InputFile.size("\(folder)/\($0)") != nil }
    let url = URL(fileURLWithPath: folder).resolvingSymlinksInPath()
    return files || url.lastPathComponent == "checkpoints" && RunFolder.isRun(url.deletingLastPathComponent().path)
  }

  private func refusal(_ reason: String) -> Failure { .usage("\(option) \(path): \(reason)") }
}

extension RunFolder {
  /// What a run writes into its folder.
  static let ownNames: Set<String> = [
    "config.yaml", "metrics.jsonl", "samples.jsonl", "strengths.jsonl", "ranks.jsonl", "log.txt", "lock", "tensorboard",
    "checkpoints",
  ]

  /// Whether a run was begun in `folder`.
  static func isRun(_ folder: String) -> Bool {
    InputFile.size("\(folder)/config.yaml") != nil
      && (InputFile.size("\(folder)/metrics.jsonl") != nil || InputFile.isFolder("\(folder)/checkpoints"))
  }
}
