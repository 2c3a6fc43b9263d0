import Foundation
import Losses
import Tensors
import Testing

@Suite struct SoftmaxCrossEntropyTests {
  private func normals(_ count: Int, seed: UInt64 = 1, deviation: Double = 2) -> [Double] {
    var random = CounterRandom(seed: seed, purpose: .probing)
    return (0..<count).map { _ in deviation * random.normal() }
  }

  /// −log(exp(z[t]) / Σ exp(z)), with nothing taken out of the exponent.
  private func naive(_ logits: [Double], _ classes: Int, _ labels: [Int], _ rows: Int) -> Double {
    var loss = 0.0
    for (row, label) in labels.enumerated() {
      let e = logits[row * classes..<(row + 1) * classes].map { exp($0) }
      loss -= log(e[label] / e.reduce(0, +)) / Double(rows)
    }
    return loss
  }

  @Test(arguments: [(1, 2), (5, 7), (3, 1), (8, 40)]) func followsTheFormula(_ rows: Int, _ classes: Int) {
    let logits = normals(rows * classes)
    let labels = (0..<rows).map { $0 * 3 % classes }
    let (loss, gradient) = SoftmaxCrossEntropy.evaluate(logits, classes: classes, labels: labels, globalRows: rows)
    #expect(abs(loss - naive(logits, classes, labels, rows)) < 1e-13)
    for i in logits.indices {
      var moved = logits
      moved[i] += 1e-5
      let up = naive(moved, classes, labels, rows)
      moved[i] -= 2e-5
      #expect(abs((up - naive(moved, classes, labels, rows)) / 2e-5 - gradient[i]) < 1e-9)
    }
    for row in 0..<rows { #expect(abs(gradient[row * classes..<(row + 1) * classes].reduce(0, +)) < 1e-15) }
  }

  /// A rank's share divides by the rows of all ranks.
  @Test func sharesAddUp() {
    let logits = normals(6 * 4)
    let labels = [0, 1, 2, 3, 0, 1]
    let whole = SoftmaxCrossEntropy.evaluate(logits, classes: 4, labels: labels, globalRows: 6)
    let first = SoftmaxCrossEntropy.evaluate(
      Array(logits[..<8]), classes: 4, labels: Array(labels[..<2]), globalRows: 6)
    let second = SoftmaxCrossEntropy.evaluate(
      Array(logits[8...]), classes: 4, labels: Array(labels[2...]), globalRows: 6)
    #expect(abs(first.loss + second.loss - whole.loss) < 1e-15)
    #expect(first.gradient + second.gradient == whole.gradient)
    let none = SoftmaxCrossEntropy.evaluate([], classes: 4, labels: [], globalRows: 6)
    #expect(none.loss == 0 && none.gradient.isEmpty)
  }

  @Test func largeLogitsDoNotOverflow() {
    let (loss, gradient) = SoftmaxCrossEntropy.evaluate(
      [1e4, 0, -1e4, 0, 1e4, 1e4], classes: 3, labels: [0, 0], globalRows: 2)
    #expect(abs(loss - (0 + 1e4 + log(2.0)) / 2) < 1e-9)
    #expect(gradient == [0, 0, 0, -0.5, 0.25, 0.25])
  }

  @Test func uniformLogitsGiveTheLogOfTheClasses() {
    let loss = SoftmaxCrossEntropy.evaluate(
      [Double](repeating: 3, count: 751), classes: 751, labels: [5], globalRows: 1
    ).loss
    #expect(abs(loss - log(751.0)) < 1e-12)
  }

  @Test func nonfiniteLogitsMakeTheLossNonfinite() {
    for bad in [Double.nan, .infinity] {
      for position in 0..<3 {
        var logits = [1.0, 2, 3]
        logits[position] = bad
        let (loss, gradient) = SoftmaxCrossEntropy.evaluate(logits, classes: 3, labels: [0], globalRows: 1)
        #expect(!loss.isFinite && gradient.contains { !$0.isFinite })
      }
    }
  }

  /// z̄˙ is the derivative of z̄ along ż, and within a row sums to zero like z̄.
  @Test(arguments: [(1, 2), (5, 7), (3, 1), (8, 40)]) func gradientTangentIsTheDerivative(_ rows: Int, _ classes: Int) {
    let logits = normals(rows * classes)
    let tangents = normals(rows * classes, seed: 2, deviation: 1)
    let labels = (0..<rows).map { $0 * 3 % classes }
    func gradient(_ step: Double) -> [Double] {
      let moved = zip(logits, tangents).map { $0 + step * $1 }
      return SoftmaxCrossEntropy.evaluate(moved, classes: classes, labels: labels, globalRows: rows + 2).gradient
    }
    let tangent = SoftmaxCrossEntropy.gradientTangent(
      logits, tangents: tangents, classes: classes, globalRows: rows + 2)
    #expect(tangent.count == logits.count)
    for (value, (up, down)) in zip(tangent, zip(gradient(1e-5), gradient(-1e-5))) {
      #expect(abs((up - down) / 2e-5 - value) < 1e-10)
    }
    for row in 0..<rows { #expect(abs(tangent[row * classes..<(row + 1) * classes].reduce(0, +)) < 1e-16) }
  }

  /// Rows are independent: a rank's part of z̄˙ is a slice of the whole.
  @Test func tangentSharesAreSlices() {
    let (logits, tangents) = (normals(6 * 4), normals(6 * 4, seed: 3))
    func part(_ range: Range<Int>) -> [Double] {
      SoftmaxCrossEntropy.gradientTangent(
        Array(logits[range]), tangents: Array(tangents[range]), classes: 4, globalRows: 6)
    }
    #expect(part(0..<8) + part(8..<8) + part(8..<24) == part(0..<24))
  }

  @Test func largeLogitsKeepTheirTangent() {
    // p = (1, 0, 0) and (0, ½, ½)
    let tangent = SoftmaxCrossEntropy.gradientTangent(
      [1e4, 0, -1e4, 0, 1e4, 1e4], tangents: [7, 8, 9, 5, 1, 3], classes: 3, globalRows: 2)
    #expect(tangent == [0, 0, 0, 0, -0.25, 0.25])
  }

  @Test func nonfiniteTangentsComeOut() {
    for bad in [Double.nan, .infinity] {
      for position in 0..<3 {
        var (logits, tangents) = ([1.0, 2, 3], [1.0, 0, -1])
        tangents[position] = bad
        let of = SoftmaxCrossEntropy.gradientTangent(logits, tangents: tangents, classes: 3, globalRows: 1)
        #expect(of.allSatisfy { !$0.isFinite })
        (logits[position], tangents[position]) = (bad, 0.5)
        let at = SoftmaxCrossEntropy.gradientTangent(logits, tangents: tangents, classes: 3, globalRows: 1)
        #expect(at.contains { !$0.isFinite })
      }
    }
  }

  /// The loss and its gradient are linear in the labels.
  @Test func rowsOfTwoImagesHaveTheMeanOfTwoLosses() {
    let logits = [0.3, -1, 2, 0.1, 1.5, -0.2]
    for smoothed in [false, true] {
      var term = CrossEntropy()
      term.smoothing = smoothed ? 0.1 : 0
      func result(_ labels: [Int], second: [SecondLabel?] = []) -> LossGradient<Double> {
        term.evaluate(
          LossBatch(embeddings: [], length: 0, logits: logits, classes: 3, labels: labels, second: second))
      }
      let mixed = result([0, 2], second: [SecondLabel(label: 1, share: 0.25), nil])
      let first = result([0, 2]), other = result([1, 2])
      #expect(abs(mixed.loss - (0.75 * first.loss + 0.25 * other.loss)) < 1e-14)
      for index in 0..<6 {
        let mean = 0.75 * first.logits![index] + 0.25 * other.logits![index]
        #expect(abs(mixed.logits![index] - mean) < 1e-15)
      }
      let same = result([0, 2], second: [SecondLabel(label: 0, share: 0.3), SecondLabel(label: 2, share: 0.9)])
      #expect(abs(same.loss - first.loss) < 1e-14)
    }
  }
}
