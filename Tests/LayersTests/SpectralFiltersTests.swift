import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// A 1×1 convolution whose filters are used divided by their largest singular value.
@Suite struct SpectralFiltersTests {
  private static let inputs = 70, outputs = 9
  private var layout = ParameterLayout()
  private let convolution: Convolution<Double>

  init() {
    convolution = Convolution(
      &layout, "conv", inputs: Self.inputs, outputs: Self.outputs, transform: .spectral)
  }

  private func context(threads: Int = 1) -> Context<Double> {
    Context(
      workers: Workers(count: threads), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
  }

  /// Weights of one large singular value, `noise` apart from a product of two vectors.
  private func weights(noise: Double) -> Parameters<Double> {
    let parameters = Parameters<Double>(layout: layout, statistics: ParameterLayout())
    var random = CounterRandom(seed: 3, purpose: .probing)
    let a = (0..<Self.inputs).map { _ in random.normal() }, b = (0..<Self.outputs).map { _ in random.normal() }
    for i in convolution.weight.range {
      let at = i - convolution.weight.range.lowerBound
      parameters.values[i] = a[at / Self.outputs] * b[at % Self.outputs] * (1 - noise) + noise * random.normal()
    }
    return parameters
  }

  /// The filters as they are used, inputs × outputs: what the convolution makes of each unit vector.
  private func used(_ parameters: Parameters<Double>, threads: Int = 1) -> [Double] {
    let context = context(threads: threads), n = Self.inputs
    convolution.pack(parameters.values, backward: false, context)
    let unit = (0..<n * n).map { $0 / n == $0 % n ? 1.0 : 0 }
    let y = Epilogue(out: context.tensor(Shape(n, 1, 1, Self.outputs)))
    convolution.forward(.plain(tensor(unit, Shape(n, 1, 1, n), context)), parameters, y, context)
    return y.out.array
  }

  /// By the power method on WᵀW, as often as it takes.
  private func largestSingularValue(_ w: [Double]) -> Double {
    var u = (0..<Self.outputs).map { 1 + Double($0) }, value = 0.0
    for _ in 0..<5000 {
      let v = (0..<Self.inputs).map { i in u.indices.reduce(0) { $0 + w[i * Self.outputs + $1] * u[$1] } }
      let next = u.indices.map { o in v.indices.reduce(0) { $0 + w[$1 * Self.outputs + o] * v[$1] } }
      let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
      (u, value) = (next.map { $0 / length }, length)
    }
    return value.squareRoot()
  }

  @Test func theLargestSingularValueIsOne() {
    #expect(abs(largestSingularValue(used(weights(noise: 0.1))) - 1) < 1e-12)
    let noise = largestSingularValue(used(weights(noise: 1)))
    #expect(noise >= 1 && noise < 1.1, "found in ten rounds as far as it goes")
  }

  /// Where the singular vectors have been found, the gradient is the derivative: by central differences of Σ c∘ŵ.
  @Test func theGradientIsTheDerivative() {
    let parameters = weights(noise: 0.05), range = convolution.weight.range
    var random = CounterRandom(seed: 5, purpose: .probing)
    let c = range.map { _ in random.normal() }
    func value() -> Double { zip(c, used(parameters)).reduce(0) { $0 + $1.0 * $1.1 } }
    let gradients = ParameterGradients(count: layout.count)
    for (i, c) in zip(range, c) { gradients.values[i] = c }
    convolution.pullBack(gradients, parameters.values, Workers(count: 2))
    for i in stride(from: range.lowerBound, to: range.upperBound, by: 37) {
      let before = parameters.values[i], step = 1e-6
      parameters.values[i] = before + step
      let above = value()
      parameters.values[i] = before - step
      let below = value()
      parameters.values[i] = before
      #expect(abs((above - below) / (2 * step) - gradients.values[i]) < 1e-8)
    }
  }

  @Test func threadsChangeNoBit() {
    let parameters = weights(noise: 1)
    #expect(used(parameters, threads: 3) == used(parameters))
  }

  @Test func zerosStayZeros() {
    let parameters = Parameters<Double>(layout: layout, statistics: ParameterLayout())
    #expect(used(parameters).allSatisfy { $0 == 0 })
    let gradients = ParameterGradients(count: layout.count)
    for i in convolution.weight.range { gradients.values[i] = 1 }
    convolution.pullBack(gradients, parameters.values, Workers(count: 1))
    #expect(gradients.values.array.allSatisfy { $0 == 0 })
  }
}
