import Collectives
import Layers
import Tensors

/// L: the weighted sum of the terms of all heads, each a mean over the *global* batch of all ranks, whatever their shares.
///
/// Collectives: the embeddings of all ranks are gathered, head by head, and what their rows pick; the terms that are shares are summed.
package struct ReIDLoss: Sendable {
  /// The terms of one head.
  package struct HeadTerms: Sendable {
    /// Stands before the names of its terms, where there are several heads.
    package let name: String
    package let label: RowLabels.Column
    package let terms: [any LossTerm]
    /// Of each class of the label, the group that takes its place; empty: classes themselves.
    package let groups: [Int]

    package init(
      _ name: String, by label: RowLabels.Column = .identity, groups: [Int] = [], _ terms: [any LossTerm]
    ) {
      (self.name, self.label, self.groups, self.terms) = (name, label, groups, terms)
    }

    fileprivate func labels(_ rows: GlobalRows) -> [Int] {
      groups.isEmpty ? rows.labels[label] : rows.labels[label].map { groups[$0] }
    }

    fileprivate func second(_ rows: GlobalRows) -> [SecondLabel?] {
      guard !groups.isEmpty else { return rows.second(label) }
      return rows.second(label).map { second in
        second.map { SecondLabel(label: groups[$0.label], share: $0.share) }
      }
    }
  }

  package let heads: [HeadTerms]

  package init(_ heads: [HeadTerms]) { self.heads = heads }

  /// The same on every rank.
  package struct Value: Sendable {
    package let total: Double
    /// Each term before its weight, by name, in the order of heads and terms; 0 where it has no weight.
    package let terms: [(name: String, value: Double)]
    /// B, over all ranks.
    package let rows: Int
  }

  /// Gradients of a head with respect to this rank's rows, and of the parameters of its terms (this rank's part, by term).
  package struct Gradients<A: Element> {
    package let values: HeadValues<A>
    package let parameters: [[Double]?]
  }

  /// A term's name in metrics, log lines and probes.
  package func name(_ term: any LossTerm, of head: HeadTerms) -> String {
    heads.count == 1 ? term.name : "\(head.name).\(term.name)"
  }

  /// The loss, and the gradients of `scale`·L. `parameters`: of each head's terms, by term.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  package func evaluate<A: Element>(
    _ outputs: [HeadValues<A>], _ parameters: [[[Double]]], _ rows: GlobalRows, scale: Double, in arena: Arena,
    _ communicator: any Communicator
  ) throws -> (value: Value, gradients: [Gradients<A>]) {
    var gradients: [Gradients<A>] = [], values: [Double] = [], shares: [Int] = []
    for (index, (head, output)) in zip(heads, outputs).enumerated() {
      let embeddings = try Self.gather(output.embedding, communicator), logits = output.logits.array.map { Double($0) }
      let parts = try parts(head, output, rows, embeddings, logits, parameters[index], communicator)
      for part in parts {
        if case .share = part?.value { shares.append(values.count) }
        values.append(part?.loss ?? 0)
      }
      let factors = head.terms.map { $0.weight * scale }
      gradients.append(
        Gradients(
          values: HeadValues(
            embedding: Self.sum(parts.map { $0?.embeddings }, factors, like: output.embedding, in: arena),
            logits: Self.sum(parts.map { $0?.logits }, factors, like: output.logits, in: arena)),
          parameters: zip(parts, factors).map { part, factor in part?.parameters?.map { $0 * factor } }))
    }
    var packed = shares.map { values[$0] }
    if !packed.isEmpty { try communicator.allreduce(&packed, .sum) }
    for (share, sum) in zip(shares, packed) { values[share] = sum }
    let weights = heads.flatMap { $0.terms.map(\.weight) }
    let names = heads.flatMap { head in head.terms.map { name($0, of: head) } }
    let total = zip(weights, values).map { $0 * $1 }.reduce(0, +)
    return (Value(total: total, terms: Array(zip(names, values)), rows: rows.count), gradients)
  }

  /// The gradients of `scale`·(L + weight·L˙), L˙ being the derivative of L along the tangents of the rows, from those of
  /// `scale`·L.
  /// - Throws: `TangentOverflow`, on every rank alike.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  package func evaluateTangent<A: Element>(
    at outputs: [HeadValues<A>], along tangents: [HeadValues<A>], from gradients: [Gradients<A>],
    _ parameters: [[[Double]]], _ rows: GlobalRows, scale: Double, weight: Double, in arena: Arena,
    _ communicator: any Communicator
  ) throws -> [Gradients<A>] {
    try heads.indices.map { index in
      let head = heads[index], output = outputs[index], dots = tangents[index], first = gradients[index]
      let directions = try Self.gather(dots.embedding, communicator)
      guard directions.allSatisfy(\.isFinite) else { throw TangentOverflow() }
      let embeddings = zip(try Self.gather(output.embedding, communicator), directions).map { Dual($0, $1) }
      let logits = zip(output.logits.array, dots.logits.array).map { Dual(Double($0), Double($1)) }
      let parts = try parts(head, output, rows, embeddings, logits, parameters[index], communicator)
      let factors = head.terms.map { $0.weight * scale * weight }
      func slopes(_ part: [Dual]?) -> [Double]? { part?.map(\.tangent) }
      return Gradients(
        values: HeadValues(
          embedding: Self.sum(
            parts.map { slopes($0?.embeddings) }, factors, onto: first.values.embedding, in: arena),
          logits: Self.sum(parts.map { slopes($0?.logits) }, factors, onto: first.values.logits, in: arena)),
        parameters: head.terms.indices.map { number in
          guard let start = first.parameters[number] else { return nil }
          let part = slopes(parts[number]?.parameters) ?? []
          return zip(start, part).map { $0 + $1 * factors[number] }
        })
    }
  }

  /// Each term of a head; nil where it has no weight. `parameters`: by term, or none where no term has any.
  private func parts<A: Element, S: RealNumber>(
    _ head: HeadTerms, _ output: HeadValues<A>, _ rows: GlobalRows, _ embeddings: [S], _ logits: [S],
    _ parameters: [[Double]], _ communicator: any Communicator
  ) throws -> [LossGradient<S>?] {
    let labels = head.labels(rows), length = output.embedding.shape.channels
    return try head.terms.enumerated().map { number, term in
      guard term.weight > 0 else { return nil }
      var batch = LossBatch(
        embeddings: embeddings, length: length, logits: logits, classes: output.logits.shape.channels, labels: labels,
        own: rows.own, second: head.second(rows),
        parameters: parameters.isEmpty ? [] : parameters[number].map { S($0) }, step: rows.step)
      batch.choices = try term.choices(batch).map { Array(try communicator.allgather($0).joined()) }
      return term.evaluate(batch)
    }
  }

  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private static func gather<A: Element>(_ rows: Tensor<A>, _ communicator: any Communicator) throws -> [Double] {
    Array(try communicator.allgather(rows.array.map { Double($0) }).joined())
  }

  /// Σ of the parts times their factors, rounded once; on top of `base`, if there is one.
  @_specialize(where A == Float)
  @_specialize(where A == Double)
  private static func sum<A: Element>(
    _ parts: [[Double]?], _ factors: [Double], like shape: Tensor<A>? = nil, onto base: Tensor<A>? = nil,
    in arena: Arena
  ) -> Tensor<A> {
    let result = Tensor<A>(after("an output", base ?? shape).shape, in: arena)
    var sums = base?.array.map { Double($0) } ?? []
    for case (let part?, let factor) in zip(parts, factors) {
      if sums.isEmpty {
        sums = part.map { $0 * factor }
      } else {
        for index in part.indices { sums[index] += part[index] * factor }
      }
    }
    if sums.isEmpty { result.zero() } else { result.fill(sums.map { A($0) }) }
    return result
  }
}
