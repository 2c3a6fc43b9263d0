import Storage

/// What a step came to, as fields of a line of `metrics.jsonl`.
extension StepResult {
  /// J, and the terms of L.
  var lossFields: [(key: String, value: MetricValue)] {
    [("loss", .number(loss.total))] + loss.terms.map { ($0.name, .number($0.value)) }
  }

  /// What regularizers say, as far as the step has them.
  /// - Parameter strengths: those of adaptive L2, of each tensor.
  func regularizerFields(_ strengths: [Double]?) -> [(key: String, value: MetricValue)] {
    var fields: [(key: String, value: MetricValue)] = []
    if let norm = gradientNorm { fields.append(("gradientNorm", .number(norm))) }
    if let msgr = loss.msgr { fields += [("msgr", .number(msgr)), ("tangentScale", .number(tangentScale))] }
    if let norms = loss.normLoss { fields.append(("normLoss", .number(norms))) }
    if let strengths {
      fields += [
        ("adaptiveL2", .number(loss.adaptiveL2 ?? .nan)), ("smallestStrength", .number(strengths.min()!)),
        ("meanStrength", .number(strengths.reduce(0, +) / Double(strengths.count))),
        ("largestStrength", .number(strengths.max()!)),
      ]
    }
    return fields
  }
}
