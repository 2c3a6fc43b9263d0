import Tensors

/// The terms there are.
package enum LossKind: String, CaseIterable, Sendable {
  case crossEntropy, triplet, focal, margin, centre, contrastive, weightedTriplet, rankedList, topRank

  fileprivate var type: any (LossTerm & Options).Type {
    switch self {
    case .crossEntropy: CrossEntropy.self
    case .triplet: BatchHardTriplet.self
    case .focal: Focal.self
    case .margin: Margin.self
    case .centre: Centre.self
    case .contrastive: Contrastive.self
    case .weightedTriplet: WeightedTriplet.self
    case .rankedList: RankedList.self
    case .topRank: TopRank.self
    }
  }
}

/// A term as a configuration chooses it.
package struct LossChoice: PartChoice {
  package let kind: LossKind
  package let term: any LossTerm & Options

  package init(_ kind: LossKind, _ read: OptionReader) throws {
    self.kind = kind
    func made<T: LossTerm & Options>(_ type: T.Type) throws -> any LossTerm & Options { try read(type) }
    term = try made(kind.type)
  }

  package init(_ term: CrossEntropy) { (kind, self.term) = (.crossEntropy, term) }
  package init(_ term: BatchHardTriplet) { (kind, self.term) = (.triplet, term) }

  package var part: (kind: LossKind, options: any Options) { (kind, term) }
}
