import ArgumentParser
import Collectives
import Dataset
import Foundation
import Kernels
import Training

/// What this machine offers, and what would make a job slow or fail.
struct Doctor: RankCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check MPI, cores and binding, kernels, shared memory and data; run it under mpirun as the job would be.")

  @Option(name: .long, help: "A data set's folder to look into.") var data: String?

  func run(_ communicator: any Communicator, _ watchdog: Watchdog?) throws {
    let cores = Affinity.cores
    let machine = try communicator.agree { try Machine(communicator, threads: 0) }
    let host = ProcessInfo.processInfo.hostName
    let mine = "rank \(communicator.rank) on \(host): cores \(list(cores)), \(machine.workers.count) threads"
    let lines = try communicator.allgather(Array(mine.utf8)).map { String(decoding: $0, as: UTF8.self) }
    let oversubscriptions = try Affinity.oversubscriptions(communicator, threads: machine.workers.count)
    let masks = try communicator.allgather(cores.map { Int32($0) }),
      hosts = try communicator.allgather(Array(host.utf8))
    let network = try NetworkTraits.measured(communicator, machine.workers)
    try communicator.onRank0 {
      if MPICommunicator.isLaunched {
        let ranks = "\(communicator.size) ranks, \(communicator.nodeSize) on this node"
        print("MPI        \(MPICommunicator.libraryVersion), \(ranks), MPI_THREAD_MULTIPLE")
      } else {
        print("MPI        not started by mpirun: one rank")
      }
      for line in lines { print("binding    \(line)") }
      for warning in sharing(masks, hosts) + oversubscriptions { print("warning    \(warning)") }
      let paths = KernelPath.available.map(\.rawValue).joined(separator: ", ")
      let multiplies = Multiplication.allCases.map { multiplication in
        let gemm = Kernels<Float16>(path: machine.path, multiplication: multiplication).gemm
        return "\(multiplication.rawValue) in \(gemm.operands)"
      }
      print("kernels    \(machine.path.rawValue) (available: \(paths)); \(multiplies.joined(separator: ", "))")
      print("memory     \(memory())")
      print("shared     \(sharedMemory())")
      if let network { print("network    \(network.description) (lineup forecast --network)") }
      guard let data else { return }
      let dataset = try ReIDDataset.open(at: data)
      print("data       \(dataset.summary)")
      for warning in dataset.warnings { print("warning    \(warning)") }
    }
  }

  /// Cores in short: 0-3,8.
  private func list(_ cores: [Int]) -> String {
    var parts: [String] = [], start = 0
    while start < cores.count {
      var end = start
      while end + 1 < cores.count, cores[end + 1] == cores[end] + 1 { end += 1 }
      parts.append(start == end ? "\(cores[start])" : "\(cores[start])-\(cores[end])")
      start = end + 1
    }
    return parts.joined(separator: ",")
  }

  /// Ranks of one host whose bindings overlap without being the whole host.
  private func sharing(_ masks: [[Int32]], _ hosts: [[UInt8]]) -> [String] {
    var warnings: [String] = []
    for a in masks.indices {
      for b in masks.indices where b > a && hosts[a] == hosts[b] && !Set(masks[a]).isDisjoint(with: masks[b]) {
        let isWhole = masks[a].count >= ProcessInfo.processInfo.processorCount
        warnings.append(
          isWhole
            ? "ranks \(a) and \(b) are not bound and share the node's cores; mpirun --map-by numa:PE=<cores> binds them"
            : "ranks \(a) and \(b) are bound to the same cores")
      }
    }
    return warnings
  }

  private func memory() -> String {
    let available = HostMemory.available()
    let limit = HostMemory.ofProcess().map { "; \(MemoryAccount.format($0.bytes)) \($0.bound)" } ?? ""
    let quota = Affinity.quota.map { String(format: "; a quota of %.1f cores", $0) } ?? ""
    return "\(MemoryAccount.format(available.bytes)) \(available.bound)\(limit)\(quota)"
  }

  /// Open MPI's ranks on one node talk through /dev/shm; containers often have 64 MB of it.
  private func sharedMemory() -> String {
    var status = statvfs()
    guard statvfs("/dev/shm", &status) == 0 else {
      return "/dev/shm is missing: ranks on one node will be slow or fail"
    }
    let mebibytes = (Int(status.f_bavail) * Int(status.f_frsize)) >> 20
    return "/dev/shm has \(mebibytes) MiB free"
      + (mebibytes < 128 ? ": too little for several ranks (docker run --shm-size=1g)" : "")
  }
}
