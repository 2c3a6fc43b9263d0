import ArgumentParser
import Collectives
import Evaluation
import Storage
import Training

/// Groups of people found again by the features of their members.
struct GroupsCommand: RankCommand {
  static let configuration = CommandConfiguration(
    commandName: "groups",
    abstract:
      "CMC and mAP of groups of people: Q.npy and G.npy with a row a person, each with its .csv (path,group,camera) beside it.",
    discussion:
      "Rows of one group and camera are one group. A group's match is the group of its number under another camera, whoever "
      + "is in it by then; persons of a negative group are in none. docs/systems.md has the equations.")

  @OptionGroup var features: FeatureOptions
  @Option(
    name: .long, help: "With ambiguity removal, the cosine above which a person resembles a group.")
  var threshold = 0.7
  @Option(name: .long, help: "Write the metrics here too, as one JSON object: `plain` and `removed`.") var json: String?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let log = try RunLog(rank: communicator.rank, level: .info)
    try communicator.onRank0 {
      let removal = try AmbiguityRemoval(threshold: threshold)
      if let json { try Destination("--json", json).requireFile(besides: features.paths) }
      let machine = try Machine(SoloCommunicator(), threads: 0)
      let result = try GroupRetrieval(
        query: try FeatureFiles.read(features.query, identity: "group"),
        gallery: try FeatureFiles.read(features.gallery, identity: "group"), removal: removal,
        parallelFor: machine.parallelFor)
      if let warning = result.plain.warning { log.warning(warning) }
      let rows = [("groups", result.plain), ("groups, ambiguity removed", result.removed)]
      for line in RankingResult.table(rows) { log.info(line) }
      try log.requireDelivered()
      if let json { try AtomicFiles.write(json: ["plain": result.plain, "removed": result.removed], to: json) }
    }
  }
}
