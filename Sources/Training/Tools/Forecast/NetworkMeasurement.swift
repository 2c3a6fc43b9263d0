import Collectives
import Foundation
import Synchronization
import Tensors

extension NetworkTraits {
  private static let messages = 200, sumBytes = 16_000_000, sums = 3, sumsBeside = 8

  /// Between the hosts of a job, of which all ranks call it alike; nil where they are all on one. Takes seconds.
  package static func measured(_ communicator: any Communicator, _ workers: Workers) throws -> NetworkTraits? {
    let names = try communicator.hosts(), hosts = Set(names).count
    guard hosts > 1 else { return nil }
    func exchange() throws {
      for _ in 0..<messages {
        var one = [1.0]
        try communicator.allreduce(&one, .sum)
      }
    }
    try exchange()
    let latency = try Stopwatch.seconds { try exchange() } / Double(messages) / rounds(of: hosts)

    // A host's link carries this much of a sum, and each of its ranks its part.
    let crossing = Double(2 * (hosts - 1) * sumBytes) / Double(hosts)
    let ranks = Double(names.count { $0 == names[communicator.rank] })
    let background = try communicator.duplicate(), values = Buffer<Double>(count: sumBytes / 8)
    try background.allreduce(values.span, .sum)
    try communicator.barrier()
    let way = try Stopwatch.seconds { for _ in 0..<sums { try background.allreduce(values.span, .sum) } }

    // The same beside a computation on all cores, and what that does not get done meanwhile.
    let numbers = Buffer<Float>(count: 1 << 14)
    func compute() {
      workers.parallelFor(workers.count) { _, _ in
        var sum: Float = 0
        for _ in 0..<8 { for i in 0..<numbers.count { sum += numbers[i] * numbers[i] } }
        precondition(sum == 0)
      }
    }
    // On all ranks at once, long enough to take turns where they share cores.
    try communicator.barrier()
    var alone = 0.0, count = 0.0
    while alone < 1 {
      alone += Stopwatch.seconds(compute)
      count += 1
    }
    let unit = alone / count
    let outcome = Mutex<Result<Void, any Error>?>(nil)
    try communicator.barrier()
    var units = 0
    let elapsed = Stopwatch.seconds {
      Threads.start("lineup-network") { [values] in
        let result = Result { for _ in 0..<sumsBeside { try background.allreduce(values.span, .sum) } }
        outcome.withLock { $0 = result }
      }
      while outcome.withLock({ $0 == nil }) {
        compute()
        units += 1
      }
    }
    try outcome.withLock { $0! }.get()
    let lost = max(0, elapsed - Double(units) * unit) / (Double(sumsBeside) * crossing / ranks)

    var all = [Double(sums) * crossing / way, latency, lost]
    try communicator.allreduce(&all, .sum)
    let size = Double(communicator.size)
    return NetworkTraits(bytesPerSecond: all[0] / size, latency: all[1] / size, secondsPerByte: all[2] / size)
  }
}
