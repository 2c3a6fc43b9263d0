import Foundation
import Pictures
import Storage
import Tensors
import Training

/// Which runs are of one kind.
enum SeedGroups {
  /// Runs that were told the same but for the seed, and learnt the same identities, together; in the order of their first ones.
  /// - Parameter separate: whether each is a group of its own.
  static func groups(_ histories: [RunHistory], separate: Bool) throws -> [RunGroup] {
    var kinds: [(configuration: Configuration?, identities: [Int]?, seeds: Set<UInt64>, runs: [RunHistory])] = []
    for history in histories {
      let (configuration, seed) = try settings(of: history), identities = identities(of: history)
      let index =
        separate
        ? nil
        : kinds.firstIndex { kind in
          // The same seed again is no further seed.
          configuration != nil && kind.configuration == configuration && kind.identities == identities
            && !kind.seeds.contains(seed)
        }
      if let index {
        kinds[index].runs.append(history)
        kinds[index].seeds.insert(seed)
      } else {
        kinds.append((configuration, identities, [seed], [history]))
      }
    }
    let names = kinds.map { name(of: $0.runs.map(\.path)) }
    return zip(kinds, names).map { kind, name in
      let isAlone = names.count { $0 == name } == 1
      return RunGroup(isAlone ? name : Printable.line(kind.runs[0].path, limit: 120), kind.runs)
    }
  }

  /// The settings with what does not change a result, the seed among it, as it is by default; nil of a run without any.
  private static func settings(of history: RunHistory) throws -> (Configuration?, seed: UInt64) {
    let path = RunFolder(path: history.path).configurationPath
    guard InputFile.size(path) != nil else { return (nil, 0) }
    var configuration = try Configuration.saved(path)
    let seed = configuration.seed, usual = Configuration()
    configuration.seed = usual.seed
    (configuration.log, configuration.watchdog) = (usual.log, usual.watchdog)
    (configuration.threads, configuration.checkpoint) = (usual.threads, usual.checkpoint)
    return (configuration, seed)
  }

  /// What it was trained on, as far as its checkpoints tell.
  private static func identities(of history: RunHistory) -> [Int]? {
    (try? Checkpoint(path: history.path, verified: false))?.state.identities
  }

  /// What the names of the folders begin with, without a seed's number at its end; the first name where that is nothing.
  private static func name(of paths: [String]) -> String {
    let names = paths.map(ShownName.last), first = names[0]
    guard names.count > 1 else { return first }
    var common = names.dropFirst().reduce(first) { $0.commonPrefix(with: $1) }
    while let last = common.last, last.isNumber || "-_. ".contains(last) { common.removeLast() }
    for word in ["seed", "-s", "_s"] where common.lowercased().hasSuffix(word) { common.removeLast(word.count) }
    while let last = common.last, "-_. ".contains(last) { common.removeLast() }
    return common.isEmpty ? first : common
  }
}
