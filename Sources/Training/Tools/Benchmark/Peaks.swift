import Foundation
import Kernels
import Synchronization
import Tensors

/// What the cores of a rank do at best, all of them at once: the limits that kernels are held against.
package struct Peaks: Codable, Sendable {
  /// GFLOP/s of one core: float32 multiply-adds of the path's instruction set, all in registers.
  package let float32: Double
  /// GFLOP/s of one core: products of bfloat16 summed in float32, with AMX from tiles in the first cache; nil where the path
  /// has none.
  @Nullable package var bfloat16: Double?
  /// GB/s of all cores that copy memory: bytes read plus bytes written.
  package let copy: Double

  package init(float32: Double, bfloat16: Double?, copy: Double) {
    (self.float32, self.bfloat16, self.copy) = (float32, bfloat16, copy)
  }

  /// What one core could multiply at best with the kernels of a path, in GFLOP/s.
  package func peak(_ path: KernelPath, _ multiplication: Multiplication) -> Double {
    guard let bfloat16 else { return float32 }
    return switch (path, multiplication) {
    case (.amx, .bfloat16), (.avx512, .bfloat16): bfloat16
    case (.amx, .exact): bfloat16 / 3  // hi·hi + lo·hi + hi·lo
    default: float32
    }
  }

  /// Takes about a second, and 128 MiB a worker.
  package static func measure(_ path: KernelPath, _ workers: Workers) -> Peaks {
    Peaks(
      float32: rate(Peak(path)!, workers), bfloat16: Peak(path, bfloat16: true).map { rate($0, workers) },
      copy: copyRate(workers))
  }

  private static var tries: Int { 10 }

  /// GFLOP/s of one core: the best try, since whatever else runs can only slow it down.
  private static func rate(_ peak: Peak, _ workers: Workers) -> Double {
    var rounds = 1 << 10
    while Stopwatch.seconds({ peak.run(rounds: rounds) }) < 0.02 { rounds *= 2 }
    let best = (0..<tries).map { _ in together(workers) { _ in peak.run(rounds: rounds) } }.min()!
    return peak.operations * Double(rounds) / best / 1e9
  }

  private static func copyRate(_ workers: Workers) -> Double {
    let bytes = 64 << 20  // a core's, far more than its share of any cache
    let buffers = (0..<workers.count).map { _ in
      (from: Buffer<UInt8>(count: bytes), to: Buffer<UInt8>(count: bytes))
    }
    // Memory lies near the core that first writes it, and must have been written to be read from memory at all.
    _ = together(workers) { worker in
      memset(buffers[worker].from.pointer, 1, bytes)
      memset(buffers[worker].to.pointer, 1, bytes)
    }
    let best = (0..<tries).map { _ in
      together(workers) { memcpy(buffers[$0].to.pointer, buffers[$0].from.pointer, bytes) }
    }.min()!
    return 2 * Double(bytes * workers.count) / best / 1e9
  }

  /// Seconds that the slowest worker takes for `body(worker)` while all run it.
  private static func together(_ workers: Workers, _ body: (Int) -> Void) -> Double {
    let arrived = Atomic(0)
    let seconds = Buffer<Double>(count: workers.count)
    workers.parallelFor(workers.count) { _, worker in
      // Nobody leaves before all have come, so each worker comes once.
      arrived.add(1, ordering: .acquiringAndReleasing)
      while arrived.load(ordering: .acquiring) < workers.count { sched_yield() }
      seconds[worker] = Stopwatch.seconds { body(worker) }
    }
    return seconds.array.max()!
  }
}

enum Stopwatch {
  /// What `body` takes.
  static func seconds(_ body: () throws -> Void) rethrows -> Double {
    try ContinuousClock().measure(body) / .seconds(1)
  }
}
