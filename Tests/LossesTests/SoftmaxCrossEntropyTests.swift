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
}
