extension Array {
  /// `count` of them in their order, as far apart as they can be; all where there are no more.
  package func evenly(_ count: Int) -> [Element] {
    self.count <= count ? self : (0..<count).map { self[$0 * self.count / count] }
  }
}
