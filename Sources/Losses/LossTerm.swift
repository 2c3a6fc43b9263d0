import Tensors

/// What a loss term sees of a head: the rows of the global batch.
package struct LossBatch<S: RealNumber>: Sendable {
  /// B × length, the rows of all ranks.
  package let embeddings: [S]
  package let length: Int
  /// rows of this rank × classes.
  package let logits: [S]
  package let classes: Int
  /// The class of each of the B rows.
  package let labels: [Int]
  /// The rows of this rank.
  package let own: Range<Int>
  /// Of this rank's rows that are two images in one; empty where none is.
  package let second: [SecondLabel?]
  /// The term's own parameters, as `LossTerm.parameters` shapes them.
  package let parameters: [S]
  /// What `LossTerm.choices` gave on every rank, in the order of rows; nil where the term is to choose for all rows.
  package var choices: [Int]?
  /// Of the run, from 0 on.
  package let step: Int

  package init(
    embeddings: [S], length: Int, logits: [S] = [], classes: Int = 0, labels: [Int], own: Range<Int>? = nil,
    second: [SecondLabel?] = [], parameters: [S] = [], choices: [Int]? = nil, step: Int = 0
  ) {
    (self.second, self.choices, self.step) = (second, choices, step)
    (self.embeddings, self.length, self.logits, self.classes) = (embeddings, length, logits, classes)
    (self.labels, self.own, self.parameters) = (labels, own ?? labels.indices, parameters)
  }

  /// B.
  package var rows: Int { labels.count }

  /// Row `index` of all.
  package func embedding(_ index: Int) -> ArraySlice<S> { embeddings[index * length..<(index + 1) * length] }
}

/// A loss, and its gradients with respect to what this rank has.
package struct LossGradient<S: RealNumber> {
  /// Of all rows, or of this rank's alone, whose sum over ranks is the loss.
  package enum Value { case whole(Double), share(Double) }

  package var value: Value
  /// own rows × length; nil where the term does not read embeddings.
  package var embeddings: [S]?
  /// own rows × classes; nil where it does not read logits.
  package var logits: [S]?
  /// This rank's part of the gradient of the parameters; nil where it has none.
  package var parameters: [S]?

  package init(_ value: Value, embeddings: [S]? = nil, logits: [S]? = nil, parameters: [S]? = nil) {
    (self.value, self.embeddings, self.logits, self.parameters) = (value, embeddings, logits, parameters)
  }

  package var loss: Double {
    switch value {
    case .whole(let loss), .share(let loss): loss
    }
  }
}

/// A term of a head's loss, a mean over the B rows of the global batch whatever the ranks' shares.
///
/// Precision: float64. A term is the same on every rank, draws nothing at random, and breaks ties by the lower row.
package protocol LossTerm: Sendable {
  /// The name in metrics, log lines, probe and report: camelCase.
  var name: String { get }
  /// What it counts in the loss, from 0 on.
  var weight: Double { get }
  /// Whether it reads logits, and whether these have to be cosines.
  var readsLogits: Bool { get }
  var readsCosines: Bool { get }
  /// Whether it compares images: a batch has to have two identities, and two images of each.
  var needsPairs: Bool { get }
  /// Whether it knows rows that are two images in one (`LossBatch.second`).
  var takesMixes: Bool { get }
  /// The shape of parameters of its own, as [classes, length]; none by default.
  func parameters(classes: Int, length: Int) -> [Int]?
  /// What this rank's rows pick, as many numbers a row: other rows, or whether they count. Computed by the rank that has the row,
  /// and gathered. nil for a term that picks nothing.
  func choices<S: RealNumber>(_ batch: LossBatch<S>) -> [Int]?

  func evaluate<S: RealNumber>(_ batch: LossBatch<S>) -> LossGradient<S>
}

extension OptionField where Root: LossTerm {
  package static func weight(_ place: WritableKeyPath<Root, Double> & Sendable) -> OptionField {
    .number("weight", place, 0...1e6, "What the term counts in the loss; 0 leaves it out.")
  }
}

extension LossTerm {
  package var readsLogits: Bool { true }
  package var readsCosines: Bool { false }
  package var needsPairs: Bool { false }
  package var takesMixes: Bool { false }
  package func parameters(classes: Int, length: Int) -> [Int]? { nil }
  package func choices<S: RealNumber>(_ batch: LossBatch<S>) -> [Int]? { nil }
}
