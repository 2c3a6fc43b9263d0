import Tensors

/// Persons in groups: those of one group under one camera stand together. Groups are in the order of their first persons.
package struct PersonGroups: Sendable {
  /// A row a person, those of a group one after the other; `identities` are groups.
  let persons: LabelledFeatures
  /// The rows of each group.
  let members: [Range<Int>]
  /// A row a group with its label and camera, and no features: what `Ranking` judges.
  package let groups: LabelledFeatures

  package var count: Int { members.count }

  /// - Parameter persons: their groups as identities; those of a negative one are in none, and are left out.
  package init(_ persons: LabelledFeatures) {
    struct Place: Hashable { let group: Int, camera: Int }
    var slots: [Place: Int] = [:], rows: [[Int]] = []
    for (row, group) in persons.identities.enumerated() where !LabelledFeatures.isJunk(group) {
      let place = Place(group: group, camera: persons.cameras[row])
      if let slot = slots[place] {
        rows[slot].append(row)
      } else {
        slots[place] = rows.count
        rows.append([row])
      }
    }
    let order = Array(rows.joined()), columns = persons.matrix.columns
    self.persons = persons.selecting(
      order, order.flatMap { persons.matrix.values[$0 * columns..<($0 + 1) * columns] })
    var end = 0
    members = rows.map { rows in
      end += rows.count
      return end - rows.count..<end
    }
    groups = self.persons.labels(of: members.map(\.lowerBound))
  }
}

/// Distances of groups from those of their members (after Mei, Lai, Feng, Xie: "Open-World Group Retrieval with Ambiguity
/// Removal: A Benchmark", ICPR 2020; reconstructed from the abstract).
///
/// d = 1 − cos of two persons. From person to group d(p, G) = min_{g∈G} d(p, g), and of query group A and gallery group B
/// the mean over the members of both sides, D = (Σ_{a∈A} d(a, B) + Σ_{b∈B} d(b, A)) / (|A| + |B|).
///
/// With `AmbiguityRemoval` a member counts by its partner alone: pairs (a, b) are those of the one-to-one assignment of
/// largest Σ cos that are also best for both of their members (of equal ones the lower index), with the weight w = 1 / (1 + the
/// number of *other* groups of the gallery G with 1 − d(a, G) > τ). Both members of a pair then count 1 − w·cos = 1 − w + w·d(a, b),
/// members without a partner 1, and D is the mean as before.
///
/// Groups of one person are at their person's distance; with removal too where no cosine exceeds τ.
package struct GroupDistances: DistanceRows, Sendable {
  private let query: PersonGroups, gallery: PersonGroups
  private let distances: Distances
  private let removal: AmbiguityRemoval?

  package var queryCount: Int { query.count }
  package var galleryCount: Int { gallery.count }

  /// - Throws: `Failure.data` that names the features if there are none in groups, if they are of different length or not
  ///   finite.
  package init(query: PersonGroups, gallery: PersonGroups, removal: AmbiguityRemoval?) throws {
    for persons in [query.persons, gallery.persons] where persons.matrix.rows == 0 {
      throw Failure.data(persons.name, "no row has a group of 0 or more")
    }
    distances = try Distances(query: query.persons, gallery: gallery.persons, metric: .cosine)
    (self.query, self.gallery, self.removal) = (query, gallery, removal)
  }

  package func forEachRow(of queries: Range<Int>, _ body: (_ query: Int, _ row: UnsafeBufferPointer<Double>) -> Void) {
    guard let first = queries.first, let last = queries.last else { return }
    var group = first, members: [[Double]] = []
    distances.forEachRow(of: query.members[first].lowerBound..<query.members[last].upperBound) { person, row in
      members.append(Array(row))
      guard person + 1 == query.members[group].upperBound else { return }
      self.row(members).withUnsafeBufferPointer { body(group, $0) }
      (group, members) = (group + 1, [])
    }
  }

  /// The distances of a group to all groups of the gallery, from its members' distances to all persons there.
  private func row(_ members: [[Double]]) -> [Double] {
    // Of each member to each group.
    let nearest = members.map { row in gallery.members.map { row[$0].min()! } }
    guard let removal else {
      return gallery.members.enumerated().map { group, range in
        let own = nearest.reduce(0) { $0 + $1[group] }
        let theirs = range.reduce(0) { sum, person in sum + members.reduce(.infinity) { min($0, $1[person]) } }
        return (own + theirs) / Double(members.count + range.count)
      }
    }
    let alike = nearest.map { $0.map { 1 - $0 > removal.threshold } }, counts = alike.map { $0.count { $0 } }
    return gallery.members.enumerated().map { group, range in
      let pairs = AmbiguityRemoval.pairs(members.map { Array($0[range]) })
      let paired = pairs.reduce(0) { sum, pair in
        let others = counts[pair.member] - (alike[pair.member][group] ? 1 : 0), weight = 1 / Double(1 + others)
        return sum + 2 * (1 - weight + weight * pair.distance)
      }
      let size = members.count + range.count
      return (paired + Double(size - 2 * pairs.count)) / Double(size)
    }
  }
}

/// What is asked of two persons before they speak for their groups (see `GroupDistances`).
package struct AmbiguityRemoval: Sendable, Equatable {
  /// τ, a cosine.
  package let threshold: Double

  /// - Throws: `Failure.usage` for a threshold that is no cosine.
  package init(threshold: Double = 0.7) throws {
    guard (-1...1).contains(threshold) else {
      throw Failure.usage("groups: a threshold of \(threshold) is not within -1 … 1")
    }
    self.threshold = threshold
  }

  /// The pairs of the assignment of least distance that are nearest to each other. (members, other members)
  static func pairs(_ distances: [[Double]]) -> [(member: Int, distance: Double)] {
    /// The first of the least.
    func nearest(_ count: Int, _ distance: (Int) -> Double) -> Int {
      (1..<count).reduce(0) { distance($1) < distance($0) ? $1 : $0 }
    }
    let mutual = distances.enumerated().map { member, row -> Int? in
      let other = nearest(row.count) { row[$0] }
      return nearest(distances.count) { distances[$0][other] } == member ? other : nil
    }
    if mutual.allSatisfy({ $0 == nil }) { return [] }
    return zip(Assignment.leastCost(distances), mutual).enumerated().compactMap { member, pair in
      guard let other = pair.0, other == pair.1 else { return nil }
      return (member, distances[member][other])
    }
  }
}

/// Retrieval of groups of persons: each group of the queries ranks those of the gallery, by the protocol of single persons
/// (`QueryJudge`) with groups for identities.
package struct GroupRetrieval: Sendable, Equatable {
  /// By the means over members, and with ambiguity removal.
  package let plain: RankingResult, removed: RankingResult

  /// - Parameters:
  ///   - query, gallery: a row a person, with its group as its identity.
  /// - Throws: `Failure.data` where features are empty, not finite, of different length or all 0, or no group has a match.
  package init(
    query: LabelledFeatures, gallery: LabelledFeatures, removal: AmbiguityRemoval,
    parallelFor: ParallelFor = runSerially
  ) throws {
    try Distances.check(query, gallery)
    try Ranking.requireDirections(query, gallery)
    let query = PersonGroups(query), gallery = PersonGroups(gallery)
    func result(_ removal: AmbiguityRemoval?) throws -> RankingResult {
      try Ranking.totals(
        queries: 0..<query.count, query: query.groups, gallery: gallery.groups,
        distances: try GroupDistances(query: query, gallery: gallery, removal: removal), parallelFor: parallelFor
      ).result()
    }
    (plain, removed) = (try result(nil), try result(removal))
  }
}
