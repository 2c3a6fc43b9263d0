/// How a loop of independent jobs is run: `parallelFor(count, body)` calls body(i) once for every 0 ≤ i < count, in any
/// order and on any thread, and returns when all are done. The rank's `Workers` are passed in this form.
package typealias ParallelFor = (_ count: Int, _ body: (_ index: Int) -> Void) -> Void

/// The `ParallelFor` of one thread: the jobs in order, on the caller's thread.
package func runSerially(_ count: Int, _ body: (_ index: Int) -> Void) {
  for index in 0..<count { body(index) }
}

/// The results of `count` independent jobs in the order of their indices, whatever the order they ran in.
func parallelMap<Result>(_ count: Int, _ parallelFor: ParallelFor, _ job: (Int) -> Result) -> [Result] {
  var results = [Result?](repeating: nil, count: count)
  results.withUnsafeMutableBufferPointer { slots in
    withoutActuallyEscaping(job) { job in
      // Each job writes its own slot, so no lock is needed.
      parallelFor(count) { index in slots[index] = job(index) }
    }
  }
  return results.map { $0! }
}

/// `range` cut into consecutive pieces of `size` (the last may be shorter).
func blocks(of range: Range<Int>, size: Int) -> [Range<Int>] {
  stride(from: range.lowerBound, to: range.upperBound, by: size).map { $0..<min($0 + size, range.upperBound) }
}
