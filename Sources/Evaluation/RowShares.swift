/// Rows of something large that several processes make together, each a share of its own, and then all have.
///
/// Every process makes the same calls in the same order.
package protocol RowShares {
  /// Which of 0 ..< `count` this process makes: contiguous, one after the other in the order of the processes.
  func own(_ count: Int) -> Range<Int>
  /// The elements of every process, of any number each, in the order of the processes.
  func gather<T: BitwiseCopyable>(_ own: [T]) throws -> [T]
  /// The sums over the processes, element by element.
  func sum(_ own: [Double]) throws -> [Double]
}

/// One process, which makes everything.
package struct WholeShare: RowShares {
  package init() {}
  package func own(_ count: Int) -> Range<Int> { 0..<count }
  package func gather<T: BitwiseCopyable>(_ own: [T]) -> [T] { own }
  package func sum(_ own: [Double]) -> [Double] { own }
}
