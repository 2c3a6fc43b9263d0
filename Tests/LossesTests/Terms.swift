import Losses
import Tensors

// Terms as functions of arrays, with their tangents.

func duals(_ values: [Double], _ tangents: [Double]) -> [Dual] { zip(values, tangents).map { Dual($0, $1) } }

enum SoftmaxCrossEntropy {
  private static func batch<S: RealNumber>(_ logits: [S], _ classes: Int, _ labels: [Int], _ rows: Int) -> LossBatch<S>
  {
    LossBatch(
      embeddings: [], length: 0, logits: logits, classes: classes,
      labels: labels + [Int](repeating: 0, count: rows - labels.count), own: 0..<labels.count)
  }

  static func evaluate(_ logits: [Double], classes: Int, labels: [Int], globalRows: Int) -> (
    loss: Double, gradient: [Double]
  ) {
    let result = CrossEntropy().evaluate(batch(logits, classes, labels, globalRows))
    return (result.loss, result.logits!)
  }

  static func gradientTangent(_ logits: [Double], tangents: [Double], classes: Int, globalRows: Int) -> [Double] {
    let labels = [Int](repeating: 0, count: logits.count / classes)
    return CrossEntropy().evaluate(batch(duals(logits, tangents), classes, labels, globalRows)).logits!.map(\.tangent)
  }
}

extension BatchHardTriplet {
  static func evaluate(_ x: [Double], length: Int, labels: [Int], margin: Double, own: Range<Int>) -> (
    loss: Double, gradient: [Double]
  ) {
    let result = BatchHardTriplet(margin: margin).evaluate(
      LossBatch(embeddings: x, length: length, labels: labels, own: own))
    return (result.loss, result.embeddings!)
  }

  static func gradientTangent(
    _ x: [Double], tangents: [Double], length: Int, labels: [Int], margin: Double, own: Range<Int>
  ) -> [Double] {
    BatchHardTriplet(margin: margin).evaluate(
      LossBatch(embeddings: duals(x, tangents), length: length, labels: labels, own: own)
    ).embeddings!.map(\.tangent)
  }
}

extension ReIDLoss {
  /// One head with the two usual terms.
  init(tripletWeight: Double, margin: Double) {
    self.init([ReIDLoss.HeadTerms("", [CrossEntropy(), BatchHardTriplet(weight: tripletWeight, margin: margin)])])
  }
}
