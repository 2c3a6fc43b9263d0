import Foundation
import Losses
import Tensors
import Testing

@Suite struct BatchHardTripletTests {
  private func normals(_ count: Int, seed: UInt64) -> [Double] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    return (0..<count).map { _ in random.normal() }
  }

  private func distance(_ x: [Double], _ length: Int, _ a: Int, _ b: Int) -> Double {
    let square = (0..<length).reduce(0.0) { $0 + pow(x[a * length + $1] - x[b * length + $1], 2) }
    return max(square, 1e-12).squareRoot()
  }

  private func naive(_ x: [Double], _ length: Int, _ labels: [Int], _ margin: Double) -> Double {
    var loss = 0.0
    for a in labels.indices {
      let positives = labels.indices.filter { labels[$0] == labels[a] }.map { distance(x, length, a, $0) }
      let negatives = labels.indices.filter { labels[$0] != labels[a] }.map { distance(x, length, a, $0) }
      guard let near = negatives.min() else { continue }
      loss += max(0, margin + positives.max()! - near) / Double(labels.count)
    }
    return loss
  }

  private func evaluate(_ x: [Double], _ length: Int, _ labels: [Int], _ margin: Double = 0.3) -> (
    loss: Double, gradient: [Double]
  ) {
    BatchHardTriplet.evaluate(x, length: length, labels: labels, margin: margin, own: labels.indices)
  }

  @Test(arguments: [[0, 0, 1, 1], [0, 1, 0, 2, 2, 1, 0], [5, 5, 5, 9], [3, 4], [0, 0, 0, 1, 1, 1, 2, 2, 2]])
  func followsTheFormula(_ labels: [Int]) {
    for (seed, margin) in [(1, 0.3), (2, 0.0), (3, 5.0), (4, -0.5)] as [(UInt64, Double)] {
      let length = 5
      let x = normals(labels.count * length, seed: seed)
      let (loss, gradient) = evaluate(x, length, labels, margin)
      #expect(abs(loss - naive(x, length, labels, margin)) < 1e-13)
      for i in x.indices {
        var moved = x
        moved[i] += 1e-6
        let up = naive(moved, length, labels, margin)
        moved[i] -= 2e-6
        #expect(abs((up - naive(moved, length, labels, margin)) / 2e-6 - gradient[i]) < 1e-8)
      }
    }
  }

  /// However rows are shared out, they pick what one rank picks for all: the farthest of their own, the nearest of the others.
  @Test(arguments: [1, 3, 17]) func ranksPickForTheirRows(_ length: Int) throws {
    let labels = (0..<50).map { $0 * 7 % 12 }, x = normals(labels.count * length, seed: 5), loss = BatchHardTriplet()
    let all = try #require(loss.choices(LossBatch(embeddings: x, length: length, labels: labels)))
    for cuts in [[0, 50], [0, 1, 50], [0, 16, 17, 40, 50], [0, 0, 33, 50]] {
      let parts = zip(cuts, cuts.dropFirst()).map {
        loss.choices(LossBatch(embeddings: x, length: length, labels: labels, own: $0..<$1))!
      }
      #expect(Array(parts.joined()) == all)
    }
    for a in labels.indices {
      let (positives, negatives) = (
        labels.indices.filter { labels[$0] == labels[a] }, labels.indices.filter { labels[$0] != labels[a] }
      )
      #expect(all[2 * a] == positives.max { distance(x, length, a, $0) < distance(x, length, a, $1) })
      #expect(all[2 * a + 1] == negatives.min { distance(x, length, a, $0) < distance(x, length, a, $1) })
    }
    #expect(
      loss.choices(LossBatch(embeddings: x, length: length, labels: labels.map { _ in 1 }, own: 3..<5))!.enumerated()
        .allSatisfy {
          $0 % 2 == 0 || $1 == -1
        })
  }

  /// Where all hinges are met there is neither loss nor gradient; a larger margin opens them.
  @Test func theMarginDecides() {
    let x = [0.0, 0, 0, 1, 10, 0, 10, 1]
    let labels = [0, 0, 1, 1]
    #expect(evaluate(x, 2, labels, 0.3).loss == 0)
    #expect(evaluate(x, 2, labels, 0.3).gradient == [Double](repeating: 0, count: 8))
    // farthest positive 1, nearest negative 10 from every anchor: the hinge opens at 9
    #expect(evaluate(x, 2, labels, 9).loss == 0)
    #expect(abs(evaluate(x, 2, labels, 9.25).loss - 0.25) < 1e-14)
  }

  /// Of equal distances the first row is mined.
  @Test func tiesGoToTheFirstRow() {
    // anchor 0 at 0; positives at ±1 (rows 1, 2); negatives at ±2 in the other dimension (rows 3, 4)
    let x = [0.0, 0, 1, 0, -1, 0, 0, 2, 0, -2]
    let labels = [0, 0, 0, 1, 1]
    let all = evaluate(x, 2, labels, 3).gradient
    // Anchor 0 pulls row 1 and pushes row 3 alone. Of the others' terms the first dimension of row 0 has none but
    // its own; see the anchors one by one.
    var expected = [Double](repeating: 0, count: 10)
    func add(_ anchor: Int, _ other: Int, _ sign: Double) {
      let d = distance(x, 2, anchor, other)
      for i in 0..<2 {
        let slope = sign * (x[anchor * 2 + i] - x[other * 2 + i]) / d / 5
        expected[anchor * 2 + i] += slope
        expected[other * 2 + i] -= slope
      }
    }
    for (anchor, positive, negative) in [(0, 1, 3), (1, 2, 3), (2, 1, 3), (3, 4, 0), (4, 3, 0)] {
      add(anchor, positive, 1)
      add(anchor, negative, -1)
    }
    #expect(zip(all, expected).allSatisfy { abs($0 - $1) < 1e-15 })
  }

  /// Identical embeddings: d is clamped at 10⁻⁶, the loss is the margin, the gradient zero and not NaN.
  @Test func clampedDistancesHaveNoGradient() {
    let x = [Double](repeating: 0.7, count: 4 * 3)
    let (loss, gradient) = evaluate(x, 3, [0, 0, 1, 1])
    #expect(abs(loss - 0.3) < 1e-15)
    #expect(gradient == [Double](repeating: 0, count: 12))
    // one image an identity: the positive is the anchor itself, at 10⁻⁶
    let alone = evaluate([0, 0, 0.1, 0], 2, [0, 1])
    #expect(abs(alone.loss - (0.3 + 1e-6 - 0.1)) < 1e-15)
    #expect(zip(alone.gradient, [1.0, 0, -1, 0]).allSatisfy { abs($0 - $1) < 1e-14 })
  }

  @Test func aSingleIdentityHasNoLoss() {
    let (loss, gradient) = evaluate(normals(12, seed: 1), 4, [7, 7, 7])
    #expect(loss == 0 && gradient == [Double](repeating: 0, count: 12))
    #expect(BatchHardTriplet.evaluate([], length: 4, labels: [], margin: 0.3, own: 0..<0).loss == 0)
  }

  /// Each rank takes the rows of its own from the same gradient.
  @Test func ownRowsAreASlice() {
    let labels = [0, 1, 0, 1, 2, 2]
    let x = normals(6 * 3, seed: 8)
    let whole = evaluate(x, 3, labels, 2)
    for own in [0..<6, 0..<2, 2..<5, 5..<6, 3..<3] {
      let part = BatchHardTriplet.evaluate(x, length: 3, labels: labels, margin: 2, own: own)
      #expect(part.loss == whole.loss)
      #expect(part.gradient == Array(whole.gradient[own.lowerBound * 3..<own.upperBound * 3]))
    }
  }

  @Test func nonfiniteEmbeddingsMakeTheLossNonfinite() {
    for row in 0..<4 {
      var x = normals(4 * 3, seed: 9)
      x[row * 3 + 1] = .nan
      #expect(evaluate(x, 3, [0, 0, 1, 1], 5).loss.isNaN, "NaN in row \(row)")
    }
  }

  private func gradientTangent(
    _ x: [Double], _ dots: [Double], _ length: Int, _ labels: [Int], _ margin: Double = 0.3, own: Range<Int>? = nil
  ) -> [Double] {
    BatchHardTriplet.gradientTangent(
      x, tangents: dots, length: length, labels: labels, margin: margin, own: own ?? labels.indices)
  }

  @Test(arguments: [[0, 0, 1, 1], [0, 1, 0, 2, 2, 1, 0], [5, 5, 5, 9], [3, 4], [0, 0, 0, 1, 1, 1, 2, 2, 2]])
  func gradientTangentIsTheDerivative(_ labels: [Int]) {
    for (seed, margin) in [(1, 0.3), (2, 0.0), (3, 5.0), (4, -0.5)] as [(UInt64, Double)] {
      let length = 5, h = 1e-6
      let x = normals(labels.count * length, seed: seed)
      let dots = normals(labels.count * length, seed: seed + 10)
      func gradient(_ step: Double) -> [Double] {
        evaluate(zip(x, dots).map { $0 + step * $1 }, length, labels, margin).gradient
      }
      let difference = zip(gradient(h), gradient(-h)).map { ($0 - $1) / (2 * h) }
      let tangent = gradientTangent(x, dots, length, labels, margin)
      #expect(zip(tangent, difference).allSatisfy { abs($0 - $1) < 1e-8 }, "margin \(margin)")
      if margin == 5 { #expect(tangent.contains { abs($0) > 0.01 }) }
    }
  }

  /// A hinge that is met contributes nothing, and one that opens later neither: hinges stay.
  @Test func closedHingesHaveNoTangent() {
    let x = [0.0, 0, 0, 1, 10, 0, 10, 1]
    let (labels, dots) = ([0, 0, 1, 1], normals(8, seed: 5))
    #expect(gradientTangent(x, dots, 2, labels, 0.3) == [Double](repeating: 0, count: 8))
    #expect(gradientTangent(x, dots, 2, labels, 9) == [Double](repeating: 0, count: 8), "at the margin itself")
    #expect(gradientTangent(x, dots, 2, labels, 9.25).contains { $0 != 0 })
    #expect(
      gradientTangent(normals(12, seed: 1), normals(12, seed: 2), 4, [7, 7, 7]) == [Double](repeating: 0, count: 12))
  }

  /// Where two rows are equally far the first is mined, and its tangent alone counts, whichever way the tie would go.
  @Test func minedPairsStay() {
    // anchor 0 at 0; positives at ±1 (rows 1, 2); negatives at ±2 in the other dimension (rows 3, 4)
    let x = [0.0, 0, 1, 0, -1, 0, 0, 2, 0, -2]
    let dots = normals(10, seed: 6)
    var expected = [Double](repeating: 0, count: 10)
    for (anchor, positive, negative) in [(0, 1, 3), (1, 2, 3), (2, 1, 3), (3, 4, 0), (4, 3, 0)] {
      for (other, sign) in [(positive, 1.0), (negative, -1.0)] {
        let d = distance(x, 2, anchor, other)
        let u = (0..<2).map { (x[anchor * 2 + $0] - x[other * 2 + $0]) / d }
        let difference = (0..<2).map { dots[anchor * 2 + $0] - dots[other * 2 + $0] }
        let along = u[0] * difference[0] + u[1] * difference[1]
        for i in 0..<2 {
          let slope = sign * (difference[i] - u[i] * along) / d / 5
          expected[anchor * 2 + i] += slope
          expected[other * 2 + i] -= slope
        }
      }
    }
    let tangent = gradientTangent(x, dots, 2, [0, 0, 0, 1, 1], 3)
    #expect(zip(tangent, expected).allSatisfy { abs($0 - $1) < 1e-15 })
  }

  /// A clamped distance is constant: no tangent, and not NaN. The other distance of its hinge still counts.
  @Test func clampedDistancesHaveNoTangent() {
    let same = [Double](repeating: 0.7, count: 4 * 3)
    #expect(gradientTangent(same, normals(12, seed: 7), 3, [0, 0, 1, 1]) == [Double](repeating: 0, count: 12))
    // one image an identity: the positive is the anchor itself; both anchors push their only negative, u = (−1, 0)
    let tangent = gradientTangent([0, 0, 0.1, 0], [1, 2, 3, 5], 2, [0, 1])
    #expect(zip(tangent, [0, 30, 0, -30]).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func ownTangentRowsAreASlice() {
    let labels = [0, 1, 0, 1, 2, 2]
    let (x, dots) = (normals(6 * 3, seed: 8), normals(6 * 3, seed: 9))
    let whole = gradientTangent(x, dots, 3, labels, 2)
    for own in [0..<6, 0..<2, 2..<5, 5..<6, 3..<3] {
      #expect(
        gradientTangent(x, dots, 3, labels, 2, own: own) == Array(whole[own.lowerBound * 3..<own.upperBound * 3]))
    }
    #expect(BatchHardTriplet.gradientTangent([], tangents: [], length: 4, labels: [], margin: 0.3, own: 0..<0) == [])
  }

  @Test func nonfiniteTangentsComeOut() {
    let x = normals(4 * 3, seed: 9)
    for row in 0..<4 {
      for bad in [Double.nan, .infinity] {
        var dots = normals(4 * 3, seed: 10)
        dots[row * 3 + 1] = bad
        let tangent = gradientTangent(x, dots, 3, [0, 0, 1, 1], 5)
        #expect(tangent[row * 3..<row * 3 + 3].contains { !$0.isFinite }, "\(bad) in row \(row)")
      }
    }
  }
}
