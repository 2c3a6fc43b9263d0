import Foundation

/// Cross-entropy of a softmax over identities, the mean over B global rows:
///
///     L = −(1/B) Σ_i log p_i[t_i]          z̄_i = (p_i − onehot(t_i)) / B
///                                          z̄˙_i = p_i∘(ż_i − p_i·ż_i) / B
///
/// Rows are independent, so each rank computes its own. Precision: float64.
package enum SoftmaxCrossEntropy {
  /// `logits`: rows × classes. Returns this rank's share of L and z̄ (rows × classes).
  package static func evaluate(_ logits: [Double], classes: Int, labels: [Int], globalRows: Int) -> (
    loss: Double, gradient: [Double]
  ) {
    precondition(logits.count == labels.count * classes)
    var gradient = [Double](repeating: 0, count: logits.count)
    var loss = 0.0
    let scale = 1 / Double(globalRows)
    for (row, label) in labels.enumerated() {
      precondition(label >= 0 && label < classes)
      let z = logits[row * classes..<(row + 1) * classes]
      let largest = z.max()!
      var sum = 0.0
      for (i, value) in z.enumerated() {
        let e = exp(value - largest)
        gradient[row * classes + i] = e
        sum += e
      }
      for i in row * classes..<(row + 1) * classes { gradient[i] *= scale / sum }
      gradient[row * classes + label] -= scale
      loss += (log(sum) + largest - logits[row * classes + label]) * scale
    }
    return (loss, gradient)
  }

  /// z̄˙ (rows × classes) for tangents of the logits (rows × classes).
  package static func gradientTangent(_ logits: [Double], tangents: [Double], classes: Int, globalRows: Int) -> [Double]
  {
    precondition(logits.count == tangents.count)
    var gradient = [Double](repeating: 0, count: logits.count)
    for start in stride(from: 0, to: logits.count, by: classes) {
      let row = start..<start + classes
      let largest = logits[row].max()!
      var sum = 0.0, along = 0.0
      for i in row {
        gradient[i] = exp(logits[i] - largest)
        sum += gradient[i]
        along += gradient[i] * tangents[i]
      }
      along /= sum
      for i in row { gradient[i] *= (tangents[i] - along) / (sum * Double(globalRows)) }
    }
    return gradient
  }
}
