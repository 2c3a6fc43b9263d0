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
    func operands<E: Element>(_: E.Type) -> String {
      let kernels: Kernels<E> = kernels(configuration)
      return "\(kernels.gemm.operands), \(algorithm(E.self, configuration))"
    }
    return "\(path.rawValue), \(operands(configuration.precision.storage.element))"
  }

  /// The kernels that `precision` asks for.
  package func kernels<E: Element>(_ configuration: Configuration) -> Kernels<E> {
    let precision = configuration.precision
    return Kernels(path: path, multiplication: precision.multiply, convolution: precision.convolution)
  }

  /// How convolutions of 3×3 taps are computed, where the path has what is asked for.
  package func algorithm<E: Element>(_: E.Type, _ configuration: Configuration) -> ConvolutionAlgorithm {
    let kernels: Kernels<E> = kernels(configuration)
    return kernels.winograd == nil ? .direct : .winograd
  }

  /// A context with an arena of its own.
  package func context<E: Element>(_: E.Type, _ configuration: Configuration) -> Context<E> {
    Context(
      workers: workers, communicator: communicator, arena: Arena(),
      kernels: kernels(configuration))
  }

  /// The same machine, computing nothing.
  package var rehearsal: Machine {
    Machine(SoloCommunicator(), workers: Workers(count: workers.count, rehearsal: true), path: path)
  }
}
