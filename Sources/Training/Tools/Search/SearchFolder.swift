import Dataset
import Foundation
import Storage
import Tensors

/// `SEARCH/`: `search.json` (what the search was begun with), `data.csv` (training identities, and those held out),
/// `trials.jsonl`, and a run's folder for every trial, `stage-T/trial-N`. On rank 0.
package final class SearchFolder {
  /// What a search is of; one that goes on has to be of the same.
  private struct Setup: Codable {
    let data: [String], space: SearchSpace, configuration: Configuration
  }

  package let search: ProgressiveSearch
  package let trials: TrialsFile
  private let path: String
  private let lock: RunLock

  /// Where a search of these data sets writes its own.
  package static func dataPath(_ path: String) -> String { "\(path)/data.csv" }

  private static func setupPath(_ path: String) -> String { "\(path)/search.json" }

  /// - Throws: `Failure.usage` where the folder of `--output` holds something, and that is no search.
  package static func requireOwn(_ path: String) throws {
    guard InputFile.size(setupPath(path)) == nil else { return }
    try Destination("--output", path).requireNothing(but: ["lock"], of: "a search")
  }

  /// Begins a search in the folder at `path`, or goes on with the one that it holds.
  /// - Parameters:
  ///   - data: paths of the data sets whose training images are `samples`.
  ///   - say: told what is waited for.
  /// - Throws: `Failure.usage` where it holds a search of something else, where the trained identities are fewer than a batch takes,
  ///   or where another job searches there.
  package init(
    _ path: String, _ space: SearchSpace, _ configuration: Configuration, data: [String], _ samples: [Sample],
    say: (String) -> Void
  ) throws {
    search = ProgressiveSearch(space, seed: configuration.seed)
    let heldOut = try HeldOut(samples, share: space.heldOut, seed: configuration.seed)
    let identities = Set(heldOut.train.map(\.identity)).count
    for settings in search.ends(configuration) {
      let most = try Configuration.resolve(settings: settings, base: configuration).sampling.identities
      guard most <= identities else {
        throw Failure.usage("a batch would take \(most) identities, but only \(identities) are left to train on")
      }
    }
    try AtomicFiles.makeDirectory(path)
    (self.path, lock) = (path, try RunLock(path, waiting: say))
    let setup = Setup(
      data: data.map { URL(fileURLWithPath: $0).standardizedFileURL.path }, space: space, configuration: configuration)
    let file = Self.setupPath(path)
    if InputFile.size(file) != nil {
      try Self.require(setup, asIn: file)
    } else {
      try AtomicFiles.write(json: setup, escapingSlashes: false, to: file)
    }
    if InputFile.size(Self.dataPath(path)) == nil { try heldOut.write(to: Self.dataPath(path)) }
    trials = try TrialsFile("\(path)/trials.jsonl", search.dimensions)
  }

  private static func require(_ setup: Setup, asIn file: String) throws {
    guard let begun = try? JSONDecoder().decode(Setup.self, from: Data(try InputFile.read(file))) else {
      throw Failure.data(file, "does not say what the search was begun with")
    }
    func refuse(_ difference: String) -> Failure {
      .usage(file, "the search was begun with \(difference); choose another --output")
    }
    if begun.data != setup.data { throw refuse("the data \(begun.data.joined(separator: ", "))") }
    if begun.space != setup.space { throw refuse("another space") }
    if let (key, old, new) = try setup.configuration.differences(from: begun.configuration).first {
      throw refuse("\(key) \(old), not \(new)")
    }
  }

  /// Before a trial, and after it.
  package func requireLock() throws { try lock.requireHeld() }

  /// Whether a trial was begun that can go on by itself.
  package func isBegun(_ plan: ProgressiveSearch.Plan) -> Bool {
    CheckpointFolder(path: "\(path)/\(plan.folder)/checkpoints").holdsAnything != nil
  }
}
