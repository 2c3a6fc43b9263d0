import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// The sums that batch norms take of parts of a batch add up to those of the whole without any rounding, however unlike
/// the images are: the number of ranks shows in no bit of them.
@Suite struct SumTests {
  private let shape = Shape(6, 9, 30, 7), images = 6

  /// Normal deviates, those of image i times 2^(first − step·i).
  private func values(_ random: inout CounterRandom, area: Int, _ first: Int, _ step: Int) -> [Double] {
    (0..<images * area * shape.channels).map { i in
      let image = i / (area * shape.channels)
      return Double(sign: .plus, exponent: first - step * image, significand: 1) * random.normal()
    }
  }

  private func check(_ what: String, _ sums: (Range<Int>) -> [Double]) {
    let whole = sums(0..<images)
    #expect(whole.contains { $0 != 0 })
    for split in [[0, 1, 6], [0, 4, 6], [0, 0, 2, 3, 6]] {
      var total = [Double](repeating: 0, count: whole.count)
      for (first, end) in zip(split, split.dropFirst()) { total = zip(total, sums(first..<end)).map { $0 + $1 } }
      #expect(total == whole, "\(what), split at \(split)")
    }
  }

  /// In an epilogue: Σz, Σz²; Σż, Σż(z − mean), Σżȳ; Σȳ, Σȳ(z₁ − mean₁), Σȳ(z₂ − mean₂).
  private func checkEpilogue<E: Element>(_: E.Type, _ first: Int, _ step: Int, _ path: KernelPath) throws {
    let context = Context<E>(
      workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: path))
    var random = CounterRandom(seed: 21, purpose: .probing)
    let lists = (0..<4).map { _ in values(&random, area: shape.area, first, step) }
    let state = try Self.state(E.self, lists[0], shape.channels)
    func part(_ list: [Double], _ range: Range<Int>) -> Tensor<E> {
      let size = shape.area * shape.channels
      return tensor(
        Array(list[range.lowerBound * size..<range.upperBound * size]),
        Shape(range.count, shape.height, shape.width, shape.channels), context)
    }
    func sums(_ range: Range<Int>, _ change: (inout Epilogue<E>) -> Void) -> [Double] {
      let x = part(lists[1], range)
      var epilogue = Epilogue(out: context.tensor(x.shape))
      change(&epilogue)
      return identity(shape.channels, context).forwardTangent(.plain(x), epilogue, context).total
    }
    check("\(E.self) on \(path), forward") { range in sums(range) { $0.forwardSums = .ofAllImages } }
    check("\(E.self) on \(path), tangent") { range in
      sums(range) { $0.tangentOf = (.init(part(lists[0], range), state), part(lists[2], range)) }
    }
    check("\(E.self) on \(path), backward") { range in
      sums(range) {
        $0.target = GradientTarget(
          gate: .open, norms: [.init(part(lists[0], range), state), .init(part(lists[3], range), state)])
      }
    }
  }

  /// Products of 2⁸ to 2⁻⁸², and of 2¹⁶ to 2⁻²⁴: float64 by itself would round their sums.
  @Test(arguments: KernelPath.available) func epilogues(_ path: KernelPath) throws {
    try checkEpilogue(Float.self, 4, 9, path)
    try checkEpilogue(Float16.self, 8, 4, path)
  }

  /// Of the rows of a matrix.
  @Test func rows() throws {
    let context = Context<Float>(
      workers: Workers(count: 1), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
    var random = CounterRandom(seed: 22, purpose: .probing)
    let lists = (0..<3).map { _ in values(&random, area: 1, 4, 9) }
    let state = try Self.state(Float.self, lists[0], shape.channels)
    func part(_ list: [Double], _ range: Range<Int>) -> Tensor<Float> {
      tensor(
        Array(list[range.lowerBound * shape.channels..<range.upperBound * shape.channels]),
        Shape(range.count, 1, 1, shape.channels), context)
    }
    check("forward") { RowSums.forward(part(lists[0], $0), context).total }
    check("tangent") {
      RowSums.tangent(
        part(lists[1], $0), of: .init(part(lists[0], $0), state), part(lists[2], $0), context
      ).total
    }
  }

  /// A normalization of some channels, its means nowhere near a grid.
  private static func state<E: Element>(_: E.Type, _ z: [Double], _ channels: Int) throws -> NormState<E.Accumulator> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let norm = Norm<E>(&layout, &statistics, "bn", channels: channels)
    let count = Double(z.count / channels)
    let sums = (0..<channels).map { count * (0.1 + z[$0]) } + (0..<channels).map { count * (1 + 4 * z[$0] * z[$0]) }
    let context = Context<E>(
      workers: Workers(count: 1), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
    let run = Run(
      context, Parameters(layout: layout, statistics: statistics), .training(seed: 0, step: 0, firstRow: 0))
    return try norm.normalize(
      Sums(terms: 2, channels: channels, sums), Shape(1, 1, z.count / channels, channels), run)
  }
}
