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
    Images(run).forEach(maps, writing: [y]) { images, image in
      let o = attention.forward(maps.map { DualMatrix(images.read($0, image)) }, values, by: images.gemm)
      images.store(o.value, y, image)
    }
  }

  private static func maps(_ x: Feature<E>, _ linear: [LinearPasses<E>]) -> [Operand<E>] {
    linear.isEmpty ? [x.value] : linear.map(\.y.value)
  }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let maps = Self.maps(x, linear), dots = linear.isEmpty ? [xDot] : linear.map { $0.forwardTangent(xDot, run) }
    let yDot = run.context.tensor(y.shape), attention = attention, values = values
    Images(run).forEach(maps + dots, writing: [yDot]) { images, image in
      let u = zip(maps, dots).map { DualMatrix(images.read($0, image), tangent: images.read($1, image)) }
      images.store(after("tangents", attention.forward(u, values, by: images.gemm).tangent), yDot, image)
    }
    (tangents, storedTangents) = (dots, [yDot])
    return Operand.plain(yDot).adding(v, run.context)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    let maps = Self.maps(x, linear), bars = maps.map { run.context.tensor($0.shape) }
    let scalarBars = Buffer<Double>(count: x.shape.images * values.count), attention = attention, values = values
    let h = Operand.plain(yBar.tensor)
    if case .regularized(_, let weight) = pass, let recorded, let tangents {
      let first = Operand.plain(recorded)
      Images(run).forEach(maps + tangents + [h, first], writing: bars) { images, image in
        let u = zip(maps, tangents).map {
          DualMatrix(images.read($0, image), tangent: images.read($1, image, times: weight))
        }
        let bar = images.read(first, image), rest = ImageMatrix.sum(images.read(h, image), bar.scaled(by: -1))
        let found = attention.backward(u, values, DualMatrix(bar, tangent: rest), by: images.gemm)
        for (map, bar) in zip(found.maps, bars) { images.store(map.whole, bar, image) }
        for (i, scalar) in found.scalars.enumerated() {
          scalarBars[image * values.count + i] = scalar.value + scalar.tangent
        }
      }
    } else {
      Images(run).forEach(maps + [h], writing: bars) { images, image in
        let u = maps.map { DualMatrix(images.read($0, image)) }
        let found = attention.backward(u, values, DualMatrix(images.read(h, image)), by: images.gemm)
        for (map, bar) in zip(found.maps, bars) { images.store(map.value, bar, image) }
        for (i, scalar) in found.scalars.enumerated() { scalarBars[image * values.count + i] = scalar.value }
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

/// Reads and writes the matrices of images, on all threads.
private struct Images<E: Element> {
  let gemm: Gemm
  private let context: Context<E>

  init(_ run: Run<E>) {
    context = run.context
    gemm = Kernels<Double>(path: run.context.kernels.path).gemm
  }

  func read(_ operand: Operand<E>, _ image: Int, times factor: Double = 1) -> ImageMatrix {
    ImageMatrix(operand, image: image, times: factor, context.kernels)
  }

  func store(_ matrix: ImageMatrix, _ tensor: Tensor<E>, _ image: Int) {
    matrix.store(to: tensor, image: image, context.kernels)
  }

  func forEach(_ operands: [Operand<E>], writing outputs: [Tensor<E>], _ body: (_ images: Images, _ image: Int) -> Void)
  {
    context.workers.work.move(
      .activations, operands.reduce(0) { $0 + $1.bytes } + outputs.reduce(0) { $0 + $1.bytes })
    context.workers.parallelFor(outputs[0].shape.images) { image, _ in body(self, image) }
    withExtendedLifetime((operands, outputs)) {}
  }
}
