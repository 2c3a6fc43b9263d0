import Kernels
import Tensors

/// What attention makes of one image: matrices of N pixels by channels in, one such matrix out. Written over `DualMatrix`, so
/// that what it says of values holds for derivatives too.
protocol ImageAttention: Sendable {
  /// o from its maps, `scalars` its trained numbers.
  func forward(_ maps: [DualMatrix], _ scalars: [Double], by gemm: Gemm) -> DualMatrix
  /// The gradients of the maps and of the numbers from that of o.
  func backward(_ maps: [DualMatrix], _ scalars: [Double], _ bar: DualMatrix, by gemm: Gemm) -> (
    maps: [DualMatrix], scalars: [Dual]
  )
  /// Elements of the largest matrix that it makes of an image of a map of this shape.
  func largestMatrix(_ shape: Shape) -> Int
  /// o, channels × pixels, from such maps, as operators of `graph`.
  func express(_ maps: [InferenceGraph.Value], _ scalars: [Double], in graph: InferenceGraph) -> InferenceGraph.Value
}

/// An `ImageAttention` as a layer: its maps are 1×1 convolutions of x, or x itself where there are none.
///
///     o = f(W₁∗x + b₁, …)        ȯ, ō from f's own passes over dual numbers
///     all gradients + λ times their tangents, from h = ȳ + λȳ˙ and ȳ: of f's backward pass at (u, λu̇) and (ȳ, h − ȳ), value and
///     derivative together
///
/// Stored: the maps and o; by a tangent pass the maps' tangents and ȯ; by a recording backward pass ȳ. Everything else is
/// computed again.
///
/// x: n×h×w×C as it is read, o: n×h×w×c, stored. Precision: an image's matrices in float64, rounded to storage; gradients of the
/// numbers in float64, added image by image. Collectives: none.
package final class MatrixAttention<E: Element>: Layer {
  private let convolutions: [any LinearMap<E>], outputs: Int
  private let scalars: [ParameterLayout.Slot], attention: any ImageAttention

  init(
    _ convolutions: [any LinearMap<E>], outputs: Int, scalars: [ParameterLayout.Slot], _ attention: any ImageAttention
  ) {
    (self.convolutions, self.outputs, self.scalars, self.attention) = (convolutions, outputs, scalars, attention)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let maps = convolutions.isEmpty ? [x] : convolutions.map { $0.express(x, in: graph) }
    let o = attention.express(maps.map { graph.matrix($0) }, scalars.map { graph.scalar($0) }, in: graph)
    return graph.reshaped(o, [outputs, x.height, x.width])
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    run.note(scalars)
    let values = scalars.map { Double(run.parameters.values[$0.range.lowerBound]) }
    return MatrixAttentionPasses(
      x, convolutions.map { LinearPasses($0, x, run) }, outputs, attention, values, scalars, run)
  }
}

private final class MatrixAttentionPasses<E: Element>: Passes {
  let y: Feature<E>
  private let x: Feature<E>, linear: [LinearPasses<E>]
  private let attention: any ImageAttention, values: [Double], slots: [ParameterLayout.Slot]
  private var recorded: Tensor<E>?
  /// Of the maps.
  private var tangents: [Operand<E>]?
  private(set) var storedTangents: [Tensor<E>] = []

  init(
    _ x: Feature<E>, _ linear: [LinearPasses<E>], _ outputs: Int, _ attention: any ImageAttention, _ values: [Double],
    _ slots: [ParameterLayout.Slot], _ run: Run<E>
  ) {
    (self.x, self.linear, self.attention, self.values, self.slots) = (x, linear, attention, values, slots)
    let y = run.context.tensor(x.shape.with(channels: outputs)), maps = Self.maps(x, linear)
    self.y = .plain(y)
    holdMatrices(dual: false, run)
    ImageMatrices.forEachImage(maps, writing: [y], run.context) { _, read in
      read.store(attention.forward(maps.map { DualMatrix(read($0)) }, values, by: read.gemm).value, y)
    }
  }

  /// For the account of memory: of its largest matrix an image's body holds about four at once, with tangents twice that.
  private func holdMatrices(dual: Bool, _ run: Run<E>) {
    let matrices = dual ? 8 : 4
    run.context.workers.work.hold(bytes: matrices * attention.largestMatrix(x.shape) * MemoryLayout<Double>.size)
  }

  private static func maps(_ x: Feature<E>, _ linear: [LinearPasses<E>]) -> [Operand<E>] {
    linear.isEmpty ? [x.value] : linear.map(\.y.value)
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let maps = Self.maps(x, linear), dots = linear.isEmpty ? [xDot] : linear.map { $0.forwardTangent(xDot, run) }
    let yDot = run.context.tensor(y.shape), attention = attention, values = values
    holdMatrices(dual: true, run)
    ImageMatrices.forEachImage(maps + dots, writing: [yDot], run.context) { _, read in
      let u = zip(maps, dots).map { DualMatrix(read($0), tangent: read($1)) }
      read.store(after("tangents", attention.forward(u, values, by: read.gemm).tangent), yDot)
    }
    (tangents, storedTangents) = (dots, [yDot])
    return Operand.plain(yDot).adding(v, run.context)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let maps = Self.maps(x, linear), bars = maps.map { run.context.tensor($0.shape) }
    let scalarBars = Buffer<Double>(count: x.shape.images * values.count), attention = attention, values = values
    let h = Operand.plain(yBar.tensor), weight = pass.tangentWeight
    var moved: (first: Operand<E>, tangents: [Operand<E>])?
    if case .regularized = pass, let recorded, let tangents { moved = (.plain(recorded), tangents) }
    holdMatrices(dual: moved != nil, run)
    let operands = maps + [h] + (moved.map { [$0.first] + $0.tangents } ?? []), second = moved
    ImageMatrices.forEachImage(operands, writing: bars, run.context) { image, read in
      let u = maps.enumerated().map { index, map in
        DualMatrix(read(map), tangent: second.map { read($0.tangents[index], times: weight) })
      }
      var bar = DualMatrix(read(h))
      if let second {
        let first = read(second.first)
        bar = DualMatrix(first, tangent: .sum(bar.value, first.scaled(by: -1)))
      }
      let found = attention.backward(u, values, bar, by: read.gemm)
      for (map, bar) in zip(found.maps, bars) { read.store(map.whole, bar) }
      for (i, scalar) in found.scalars.enumerated() {
        scalarBars[image * values.count + i] = scalar.value + scalar.tangent
      }
    }
    if let gradients = pass.gradients {
      if !run.context.workers.isRehearsal {
        for i in 0..<scalarBars.count {
          gradients.add(scalarBars[i], at: slots[i % values.count].range.lowerBound)
        }
      }
    } else {
      recorded = yBar.tensor
    }
    return dataGradient(bars, adding: addend, target: target, pass, run)
  }

  /// Through the convolutions to x̄ + `addend`.
  private func dataGradient(
    _ bars: [Tensor<E>], adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) -> Gradient<E> {
    guard !linear.isEmpty else {
      return target.finish(Operand.plain(bars[0]).adding(addend, run.context).tensor, run.context)
    }
    var gradient = Gradient<E>(tensor: bars[0], sums: .none), below = addend
    for (index, passes) in linear.enumerated() {
      passes.backwardWeights(bars[index], pass, run)
      gradient = passes.backwardData(
        bars[index], adding: below, target: index == linear.count - 1 ? target : .plain, run)
      below = gradient.tensor
    }
    return gradient
  }
}
