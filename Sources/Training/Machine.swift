import Collectives
import Foundation
import Kernels
import Layers
import Tensors

/// What this rank computes with: its communicator, its threads, its memory and its kernels.
package struct Machine {
  package let communicator: any Communicator
  package let workers: Workers
  package let path: KernelPath

  /// `threads`: 0 takes this rank's share of the cores that the affinity mask allows.
  package init(_ communicator: any Communicator, threads: Int) throws {
    path = try KernelPath.choose()
    workers = Workers(count: threads > 0 ? threads : Affinity.threads(communicator))
    self.communicator = TimedCommunicator(communicator, workers.timeline)
  }

  private init(_ communicator: any Communicator, workers: Workers, path: KernelPath) {
    (self.communicator, self.workers, self.path) = (communicator, workers, path)
  }

  /// A context with an arena of its own.
  package func context<E: Element>(_: E.Type, _ configuration: Configuration) -> Context<E> {
    Context(
      workers: workers, communicator: communicator, arena: Arena(),
      kernels: Kernels(path: path, multiplication: configuration.precision.multiply))
  }

  /// The same machine, computing nothing.
  package var rehearsal: Machine {
    Machine(SoloCommunicator(), workers: Workers(count: workers.count, rehearsal: true), path: path)
  }
}

/// The cores that this process may run on.
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

  /// Threads for this rank: the cores of its mask, or where ranks of one node share a mask, its share of them.
  package static func threads(_ communicator: any Communicator) -> Int {
    let cores = cores.count
    guard let mpi = communicator as? MPICommunicator, mpi.nodeSize > 1 else { return max(1, cores) }
    // A bound rank sees only its own cores; an unbound one sees all of the node's.
    let isBound = cores < ProcessInfo.processInfo.processorCount
    return max(1, isBound ? cores : cores / mpi.nodeSize)
  }
}

/// Which rows of a global batch, list or matrix a rank takes: contiguous shares.
///
/// A batch is shared out in whole groups of four images where there are enough of them for every rank, because weight
/// gradients are summed by such groups (`WeightGradientPass`): then they do not depend on the number of ranks.
package enum Share {
  package static func rows(_ count: Int, rank: Int, of size: Int) -> Range<Int> {
    rank * count / size..<(rank + 1) * count / size
  }

  package static func rows(_ count: Int, _ communicator: any Communicator) -> Range<Int> {
    rows(count, rank: communicator.rank, of: communicator.size)
  }

  package static func batch(_ count: Int, _ communicator: any Communicator) -> Range<Int> {
    let group = 4, groups = (count + group - 1) / group
    guard groups >= communicator.size else { return rows(count, communicator) }
    let own = rows(groups, communicator)
    return own.lowerBound * group..<min(count, own.upperBound * group)
  }
}
