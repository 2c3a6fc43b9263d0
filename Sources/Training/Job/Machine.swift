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
    let timed = communicator as? TimedCommunicator ?? TimedCommunicator(communicator, Timeline())
    workers = Workers(count: threads > 0 ? threads : Affinity.threads(communicator), timeline: timed.timeline)
    self.communicator = timed
  }

  private init(_ communicator: any Communicator, workers: Workers, path: KernelPath) {
    (self.communicator, self.workers, self.path) = (communicator, workers, path)
  }

  /// The kernels by name, and the operands that they multiply.
  package func kernels(_ configuration: Configuration) -> String {
    let precision = configuration.precision
    func operands<E: Element>(_: E.Type) -> String {
      "\(Kernels<E>(path: path, multiplication: precision.multiply).gemm.operands)"
    }
    return "\(path.rawValue), \(operands(precision.storage.element))"
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
