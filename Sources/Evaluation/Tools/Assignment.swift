/// The pairs of a one-to-one assignment of least cost (Kuhn's "Hungarian method", 1955, as shortest augmenting paths with
/// prices: Jonker, Volgenant, 1987). O(rows² · columns) with the shorter side as rows.
package enum Assignment {
  /// The column of each row; nil for the rows that are left over where there are fewer columns.
  ///
  /// Which of several assignments of the same cost is found depends on the costs alone: of equal paths the one over the lower
  /// column is taken.
  ///
  /// - Parameter costs: finite. (rows, columns)
  package static func leastCost(_ costs: [[Double]]) -> [Int?] {
    guard let columns = costs.first?.count, columns > 0 else { return costs.map { _ in nil } }
    if costs.count <= columns { return rowOfColumn(costs).inverted(count: costs.count) }
    return rowOfColumn((0..<columns).map { column in costs.map { $0[column] } })
  }

  /// The row of each column, where there are no more rows than columns.
  ///
  /// Prices u of rows and v of columns keep every reduced cost c − u − v from going below 0, and at 0 for pairs. Rows come in
  /// one after the other: from a new row paths alternate between pairs that are not made and such that are, of least
  /// reduced cost, until one ends in a column that is free (Dijkstra); along it, pairs change.
  private static func rowOfColumn(_ costs: [[Double]]) -> [Int?] {
    let columns = costs[0].count
    var rowPrices = [Double](repeating: 0, count: costs.count), prices = [Double](repeating: 0, count: columns)
    var owners = [Int?](repeating: nil, count: columns)
    for start in costs.indices {
      /// The reduced length of the shortest path to each column, and the column that it comes from (nil: the new row).
      var lengths = [Double](repeating: .infinity, count: columns), previous = [Int?](repeating: nil, count: columns)
      var isReached = [Bool](repeating: false, count: columns)
      var row = start, from: Int?, length = 0.0, end = 0
      while true {
        var next: Int?
        for column in 0..<columns where !isReached[column] {
          let candidate = length + costs[row][column] - rowPrices[row] - prices[column]
          if candidate < lengths[column] { (lengths[column], previous[column]) = (candidate, from) }
          if lengths[column] < next.map({ lengths[$0] }) ?? .infinity { next = column }
        }
        end = next!
        (isReached[end], length) = (true, lengths[end])
        guard let owner = owners[end] else { break }
        (row, from) = (owner, end)
      }
      rowPrices[start] += length
      for column in 0..<columns where isReached[column] {
        let surplus = length - lengths[column]
        prices[column] -= surplus
        if let owner = owners[column] { rowPrices[owner] += surplus }
      }
      while let before = previous[end] {
        owners[end] = owners[before]
        end = before
      }
      owners[end] = start
    }
    return owners
  }
}

extension [Int?] {
  /// Of a list with an index at some places: the place of each index below `count`.
  fileprivate func inverted(count: Int) -> [Int?] {
    var places = [Int?](repeating: nil, count: count)
    for (place, index) in enumerated() { if let index { places[index] = place } }
    return places
  }
}
