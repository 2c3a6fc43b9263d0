import Collectives
import Foundation
import Tensors

/// The memory that this host, or the container it is, still has to give.
package struct HostMemory: Sendable, Equatable {
  package let bytes: Int
  /// What bounds it: the host, its container, a limit of the process.
  package let bound: String

  /// The host's or container's, for all its ranks together.
  package static func available() -> HostMemory {
    var least = HostMemory(bytes: hostBytes(text("/proc/meminfo")), bound: "free on the host")
    for limit in containerLimits() where limit < least.bytes {
      least = HostMemory(bytes: limit, bound: "left of the container's limit")
    }
    return least
  }

  /// What a limit of the process (`ulimit -v`) leaves to this rank, or nil.
  package static func ofProcess() -> HostMemory? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < UInt(Int.max) else {
      return nil
    }
    let used = kibibytes("VmSize:", text("/proc/self/status")) ?? 0
    return HostMemory(
      bytes: max(0, Int(limit.rlim_cur) - used), bound: "left of the limit of its address space (ulimit -v)")
  }

  /// Throws a `Failure.internal`, on every rank alike, where the ranks of a host need more than it has.
  /// - Parameter bytes: what this rank is going to take.
  package static func require(_ bytes: Int, _ communicator: any Communicator) throws {
    let hosts = try communicator.hosts()
    let needs = try communicator.allgather([Int64(bytes)]).map { Int($0[0]) }
    let own = hosts[communicator.rank], ranks = hosts.indices.filter { hosts[$0] == own }
    let need = ranks.reduce(0) { $0 &+ needs[$1] }
    try communicator.agree {
      if let process = ofProcess(), bytes + libraries > process.bytes {
        throw shortage(bytes + libraries, "this rank", process)
      }
      let available = available()
      if need > available.bytes {
        throw shortage(need, ranks.count == 1 ? "this rank" : "\(ranks.count) ranks of \(Host.name)", available)
      }
    }
  }

  /// What libraries map beside it; OpenBLAS waits for ever for what it does not get.
  private static let libraries = 512 << 20

  /// At the beginning of a process: ends one whose limits do not even leave room for its libraries.
  static func requireLibraries() {
    guard let process = ofProcess(), process.bytes < libraries else { return }
    LastWords.say(shortage(libraries, "the libraries", process).message)
  }

  private static func shortage(_ need: Int, _ who: String, _ memory: HostMemory) -> Failure {
    .internal(
      "memory: \(MemoryAccount.format(need)) needed by \(who), \(MemoryAccount.format(memory.bytes)) \(memory.bound); "
        + "fewer ranks on a host, a smaller sampling.identities or model.width need less")
  }

  // MARK: - What the kernel tells

  package static func hostBytes(_ meminfo: String) -> Int {
    guard let available = kibibytes("MemAvailable:", meminfo) else { return .max }
    return available + (kibibytes("SwapFree:", meminfo) ?? 0)
  }

  /// What the control groups above this process leave, version 1 and 2. The cache of files counts as free: it gives way.
  package static func containerLimits(root: String = "/sys/fs/cgroup", groups: String? = nil) -> [Int] {
    let groups = groups ?? text("/proc/self/cgroup")
    var limits: [Int] = []
    func note(_ folder: String, _ limit: String, _ usage: String, _ cache: String) {
      guard let most = Int(text("\(folder)/\(limit)").trimmingCharacters(in: .whitespacesAndNewlines)), most < 1 << 60
      else { return }
      let used = Int(text("\(folder)/\(usage)").trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
      let words = text("\(folder)/memory.stat").split(whereSeparator: \.isWhitespace)
      let file = words.firstIndex(of: Substring(cache)).flatMap {
        words.indices.contains($0 + 1) ? Int(words[$0 + 1]) : nil
      }
      limits.append(max(0, most - max(0, used - (file ?? 0))))
    }
    for line in groups.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3, parts[1].isEmpty || parts[1].split(separator: ",").contains("memory") else { continue }
      // A container sees its own group as the root, or its path from outside; so every group on the way is looked at.
      var path = String(parts[2])
      while true {
        let inner = path == "/" ? "" : path
        if parts[1].isEmpty {
          note(root + inner, "memory.max", "memory.current", "inactive_file")
        } else {
          note("\(root)/memory\(inner)", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        }
        guard let slash = inner.lastIndex(of: "/") else { break }
        path = String(inner[..<slash])
      }
    }
    return limits
  }

  private static func kibibytes(_ key: String, _ table: String) -> Int? {
    let line = table.split(separator: "\n").first { $0.hasPrefix(key) }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
  }

  private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}
