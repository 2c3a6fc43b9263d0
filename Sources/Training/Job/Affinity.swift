import Collectives
import Foundation
import Tensors

/// The cores that this process may run on, and how the ranks of a node share them.
package enum Affinity {
  /// Cores of the affinity mask, ascending.
  package static var cores: [Int] {
    // The kernel's own text, "0-3,8": sched_getaffinity needs a macro that Swift does not see.
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") }
    guard let list = line?.split(separator: "\t").last else {
      return Array(0..<ProcessInfo.processInfo.activeProcessorCount)
    }
    return list.split(separator: ",").flatMap { part -> [Int] in
      let ends = part.split(separator: "-").compactMap { Int($0) }
      return ends.isEmpty ? [] : Array(ends[0]...ends[ends.count - 1])
    }
  }

  /// The cores' worth of time that a container's quota leaves (`docker run --cpus`), or nil.
  package static var quota: Double? {
    func text(_ path: String) -> String? { try? String(contentsOfFile: "/sys/fs/cgroup/\(path)", encoding: .utf8) }
    return quota(text("cpu.max"))
      ?? quota([text("cpu/cpu.cfs_quota_us"), text("cpu/cpu.cfs_period_us")].compactMap { $0 }.joined(separator: " "))
  }

  /// From `cpu.max` of control groups version 2, or quota and period of version 1: "200000 100000"; "max" or −1 is none.
  package static func quota(_ text: String?) -> Double? {
    let words = (text ?? "").split(whereSeparator: \.isWhitespace).compactMap { Double($0) }  // "max 100000" has one
    return words.count == 2 && words[0] > 0 && words[1] > 0 ? words[0] / words[1] : nil
  }

  /// Threads for this rank: the cores of its mask, or where ranks of one node share a mask, its share of them; no more than
  /// a quota feeds.
  package static func threads(_ communicator: any Communicator) -> Int {
    let cores = cores.count, ranks = communicator.nodeSize
    // A bound rank sees only its own cores; an unbound one sees all of the node's.
    let isBound = cores < ProcessInfo.processInfo.processorCount
    let own = isBound ? cores : cores / ranks
    let fed = quota.map { Int($0.rounded()) / ranks } ?? own
    return max(1, min(own, fed))
  }

  /// What to say where the ranks of a node have more threads than cores between them; the same on every rank.
  package static func oversubscriptions(_ communicator: any Communicator, threads: Int) throws -> [String] {
    let hosts = try communicator.hosts()
    let masks = try communicator.allgather(cores.map { Int32($0) })
    let counts = try communicator.allgather([Int32(threads)]).map { Int($0[0]) }
    return oversubscriptions(hosts: hosts, masks: masks, threads: counts)
  }

  /// The same from what every rank has.
  static func oversubscriptions(hosts: [String], masks: [[Int32]], threads: [Int]) -> [String] {
    var seen = Set<String>()
    return hosts.filter { seen.insert($0).inserted }.compactMap { host in
      let ranks = hosts.indices.filter { hosts[$0] == host }
      let cores = Set(ranks.flatMap { masks[$0] }).count, running = ranks.reduce(0) { $0 + threads[$1] }
      guard running > cores else { return nil }
      return "\(host): \(ranks.count) \(ranks.count == 1 ? "rank" : "ranks") with \(running) threads on \(cores) "
        + "\(cores == 1 ? "core" : "cores"): each waits for the others; fewer ranks or --set threads=N"
    }
  }
}
