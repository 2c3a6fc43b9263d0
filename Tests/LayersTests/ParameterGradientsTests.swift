import Layers
import Testing

@Suite struct ParameterGradientsTests {
  /// Whatever the order, the complete end is told, and only as far as there is no gap.
  @Test func rangesMayBeCompleteInAnyOrder() {
    let gradients = ParameterGradients(count: 100)
    var told: [Int] = []
    gradients.onCompletion = { told.append($0) }
    for range in [80..<100, 20..<60, 60..<80, 0..<0, 10..<20, 0..<10] { gradients.complete(range) }
    #expect(told == [80, 20, 10, 0])
    gradients.reset(scale: 1, Float.self)
    told = []
    for range in [0..<50, 50..<90, 90..<100] { gradients.complete(range) }
    #expect(told == [0])
  }
}
