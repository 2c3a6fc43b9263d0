import Foundation
import Losses
import Tensors
import Testing

/// Every term against its formula, its gradient against differences of that, and its tangent against differences of the
/// gradient.
@Suite struct TermTests {
  private static let classes = 5, length = 4, labels = [0, 2, 2, 4, 1, 0]

  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let term: any LossTerm
    /// The loss from logits (or cosines), embeddings and parameters, spelled out.
    let formula: @Sendable (_ logits: [Double], _ embeddings: [Double], _ parameters: [Double]) -> Double
    /// Whether the gradient is the derivative of the formula.
    var isDerivative = true
  }

  private static func margin(_ kind: Margin.Kind) -> Margin {
    var term = Margin()
    (term.kind, term.scale, term.margin) = (kind, 7, 0.3)
    return term
  }

  /// The mean of −log softmax at the label.
  private static func cross(_ logits: [Double], _ change: (_ z: Double, _ isLabel: Bool) -> Double) -> Double {
    labels.enumerated().reduce(0) { sum, row in
      let z = (0..<classes).map { change(logits[row.offset * classes + $0], $0 == row.element) }
      return sum + (log(z.reduce(0) { $0 + exp($1) }) - z[row.element]) / Double(labels.count)
    }
  }

  private static func unitDistances(_ embeddings: [Double]) -> [[Double]] {
    let rows = labels.indices.map { row in
      let e = embeddings[row * length..<(row + 1) * length], norm = e.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return e.map { $0 / norm }
    }
    return rows.map { a in rows.map { b in zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() } }
  }

  static var cases: [Case] {
    var topRank = TopRank(), penalized = margin(.additive)
    (topRank.slope, topRank.asymmetry, topRank.shape) = (6, 2, 0.5)
    (penalized.scale, penalized.margin, penalized.entropy) = (3, 0.1, 1)
    var smooth = CrossEntropy(), focal = Focal()
    smooth.smoothing = 0.2
    focal.exponent = 1.5
    var contrastive = Contrastive()
    contrastive.margin = 1.2
    return [
      Case(testDescription: "smoothing", term: smooth) { logits, _, _ in
        labels.enumerated().reduce(0) { sum, row in
          let z = Array(logits[row.offset * classes..<(row.offset + 1) * classes]),
            total = log(z.reduce(0) { $0 + exp($1) })
          let q = (0..<classes).map { ($0 == row.element ? 0.8 : 0) + 0.2 / 5 }
          return sum - zip(q, z).reduce(0) { $0 + $1.0 * ($1.1 - total) } / Double(labels.count)
        }
      },
      Case(testDescription: "focal", term: focal) { logits, _, _ in
        labels.enumerated().reduce(0) { sum, row in
          let z = Array(logits[row.offset * classes..<(row.offset + 1) * classes])
          let p = exp(z[row.element]) / z.reduce(0) { $0 + exp($1) }
          return sum - pow(1 - p, 1.5) * log(p) / Double(labels.count)
        }
      },
      Case(testDescription: "additive", term: margin(.additive)) { logits, _, _ in
        cross(logits) { 7 * ($1 ? $0 - 0.3 : $0) }
      },
      Case(testDescription: "angular", term: margin(.angular)) { logits, _, _ in
        cross(logits) { c, isLabel in 7 * (isLabel ? cos(acos(c) + 0.3) : c) }
      },
      Case(
        testDescription: "circle", term: margin(.circle),
        formula: { logits, _, _ in
          cross(logits) { c, isLabel in
            isLabel ? 7 * max(0, 1.3 - c) * (c - 0.7) : 7 * max(0, c + 0.3) * (c - 0.3)
          }
        }, isDerivative: false),
      Case(testDescription: "centre", term: Centre()) { _, embeddings, centres in
        labels.enumerated().reduce(0) { sum, row in
          (0..<length).reduce(sum) {
            let difference = embeddings[row.offset * length + $1] - centres[row.element * length + $1]
            return $0 + difference * difference / (2 * Double(labels.count))
          }
        }
      },
      Case(testDescription: "contrastive", term: contrastive) { _, embeddings, _ in
        let rows = labels.indices.map { Array(embeddings[$0 * length..<($0 + 1) * length]) }
        return rows.indices.reduce(0) { sum, a in
          rows.indices.dropFirst(a + 1).reduce(sum) { sum, b in
            let square = zip(rows[a], rows[b]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let gap = max(0, 1.2 - square.squareRoot())
            return sum + (labels[a] == labels[b] ? square : gap * gap) / 15
          }
        }
      },
      Case(testDescription: "weighted triplet", term: WeightedTriplet()) { _, embeddings, _ in
        let rows = labels.indices.map { Array(embeddings[$0 * length..<($0 + 1) * length]) }
        func mean(_ anchor: Int, _ others: [Int], _ sign: Double) -> Double {
          let d = others.map { other in
            max(1e-6, zip(rows[anchor], rows[other]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot())
          }
          return d.reduce(0) { $0 + $1 * exp(sign * $1) } / d.reduce(0) { $0 + exp(sign * $1) }
        }
        return rows.indices.reduce(0) { sum, a in
          let same = rows.indices.filter { labels[$0] == labels[a] },
            others = rows.indices.filter { labels[$0] != labels[a] }
          return sum + log(1 + exp(mean(a, same, 1) - mean(a, others, -1))) / Double(rows.count)
        }
      },
      Case(testDescription: "top rank", term: topRank) { _, embeddings, _ in
        let d = unitDistances(embeddings)
        // Of the labels 0 2 2 4 1 0 the rows 0, 1, 2 and 5 have a positive, one each.
        return 1
          - [(0, 5), (1, 2), (2, 1), (5, 0)].reduce(0) { sum, pair in
            let nearest = labels.indices.filter { labels[$0] != labels[pair.0] }.map { d[pair.0][$0] }.min()!
            return sum + pow(1 + 2 * exp(-6 * (nearest - d[pair.0][pair.1])), -2) / 4
          }
      },
      Case(
        testDescription: "ranked list", term: RankedList(),
        formula: { _, embeddings, _ in
          let d = unitDistances(embeddings)
          return labels.indices.reduce(0) { sum, a in
            let far = labels.indices.filter { $0 != a && labels[$0] == labels[a] && d[a][$0] > 0.8 }.map {
              d[a][$0] - 0.8
            }
            let near = labels.indices.filter { labels[$0] != labels[a] && d[a][$0] < 1.2 }.map { 1.2 - d[a][$0] }
            let total = near.reduce(0) { $0 + exp(10 * $1) }
            let pulled = far.isEmpty ? 0 : far.reduce(0, +) / Double(far.count)
            let pushed = near.isEmpty ? 0 : near.reduce(0) { $0 + exp(10 * $1) * $1 } / total
            return sum + (pulled + pushed) / 12
          }
        }, isDerivative: false),
      Case(testDescription: "additive with an entropy penalty", term: penalized) { logits, _, _ in
        let losses = labels.enumerated().map { row in
          let z = (0..<classes).map { 3 * (logits[row.offset * classes + $0] - ($0 == row.element ? 0.1 : 0)) }
          let total = z.reduce(0) { $0 + exp($1) }, p = z.map { exp($0) / total }
          return -log(p[row.element]) + p.reduce(0) { $0 + $1 * log($1) }
        }
        let left = losses.filter { $0 > 0 }
        precondition(!left.isEmpty && left.count < losses.count, "one branch only")
        return left.reduce(0, +) / Double(left.count)
      },
      Case(testDescription: "length, of docs/extending.md", term: Length()) { _, embeddings, _ in
        embeddings.reduce(0) { $0 + $1 * $1 } / (2 * Double(labels.count))
      },
    ]
  }

  private static func uniform(_ count: Int, _ seed: UInt64) -> [Double] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    return (0..<count).map { _ in 1.6 * random.uniform() - 0.8 }
  }

  private func batch<S: RealNumber>(_ x: [[S]]) -> LossBatch<S> {
    LossBatch(
      embeddings: x[1], length: Self.length, logits: x[0], classes: Self.classes, labels: Self.labels, parameters: x[2])
  }

  @Test(arguments: cases) func followsItsFormula(_ one: Case) {
    let sizes = [Self.labels.count * Self.classes, Self.labels.count * Self.length, Self.classes * Self.length]
    let x = sizes.enumerated().map { Self.uniform($1, UInt64($0 + 1)) }
    let dots = sizes.enumerated().map { Self.uniform($1, UInt64($0 + 11)) }
    let result = one.term.evaluate(batch(x))
    #expect(abs(result.loss - one.formula(x[0], x[1], x[2])) < 1e-12)

    func moved(_ step: Double) -> [[Double]] { zip(x, dots).map { zip($0, $1).map { $0 + step * $1 } } }
    func gradients<S>(_ gradient: LossGradient<S>) -> [[S]] {
      [gradient.logits, gradient.embeddings, gradient.parameters].map { $0 ?? [] }
    }
    let h = 1e-6, up = moved(h), down = moved(-h)
    if one.isDerivative {
      let difference = (one.formula(up[0], up[1], up[2]) - one.formula(down[0], down[1], down[2])) / (2 * h)
      let along = zip(gradients(result), dots).reduce(0) { $0 + zip($1.0, $1.1).reduce(0) { $0 + $1.0 * $1.1 } }
      #expect(abs(difference - along) < 1e-8)
    }
    let tangents = gradients(one.term.evaluate(batch(zip(x, dots).map { duals($0, $1) })))
    let (above, below) = (gradients(one.term.evaluate(batch(up))), gradients(one.term.evaluate(batch(down))))
    for part in 0..<3 {
      for i in tangents[part].indices {
        let difference = (above[part][i] - below[part][i]) / (2 * h)
        #expect(tangents[part][i].value == gradients(result)[part][i])
        // What circle holds constant moves between the two.
        if one.isDerivative { #expect(abs(difference - tangents[part][i].tangent) < 1e-7) }
      }
    }
  }
}
