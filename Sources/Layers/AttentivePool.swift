import Tensors

/// Generalized local attention pooling (GLAP, "Generalized Local Attention Pooling for Deep Metric Learning", ICPR 2020;
/// reconstructed from the abstract): a generalized mean over pixels that a gate on the map's own surroundings weighs.
///
///     y = (Σ_u a_u x_u^p / Σ_u a_u)^{1/p},  a = σ(g),  g = W₂∗max(0, n(W₁∗x)) + b₂       x clamped to ε from below; W₁ 3×3, W₂ 1×1 to one
///     with w_u = a_u x_u^p, W = Σw, A = Σa, of each channel:
///     x̄_u = ȳ·y·w_u/(W·x_u)·[x_u > ε]        ā_u = Σ_c ȳ·(y/p)·(x_u^p/W − 1/A)        p̄ = Σ_c ȳ·(y/p)(Σ_u (w_u/W) log x_u − log y)
///
/// Written over a `RealNumber`: dual numbers make it its own tangent; p does not move in one. With a constant gate it is
/// `GeneralizedMean`, and with p = 1 besides the mean.
///
/// x: n×h×w×c, stored as it is; y: n×1×1×C of accumulators. Precision: float64 within an image. Collectives: those of n.
package final class AttentivePool<E: Element>: Pool {
  /// ε, as in `GeneralizedMean`.
  static var floor: Double { 1e-6 }

  private let gate: any Layer<E>
  /// p.
  package let exponent: ParameterLayout.Slot

  /// `gate`: from a map to n×h×w×1, before σ. Tensor `<name>.p`.
  package init(_ layout: inout ParameterLayout, _ name: String, gate: any Layer<E>) {
    self.gate = gate
    exponent = layout.add(name + ".p", .exponent, shape: [1])
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let p = graph.scalar(exponent), a = graph.sigmoid(gate.express(x, in: graph))
    let powers = graph.with(p, "Pow", graph.with(Self.floor, "Max", x))
    let mean = graph.quotient(graph.pooledMeans(graph.product(a, powers)), graph.pooledMeans(a))
    return graph.with(1 / p, "Pow", mean)
  }

  package func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>) throws
    -> any PoolPasses<E>
  {
    try run.row(String(exponent.name.dropLast(2)), { _ in Shape(x.shape.images, 1, 1, x.shape.channels) }) {
      run.note([exponent])
      let gate = try gate.forward(Feature(x), run)
      let passes = AttentivePasses(
        x, gate, first: first, exponent: exponent, p: Double(run.parameters.values[exponent.range.lowerBound]))
      passes.forward(into: y, run)
      return passes
    }
  }
}

private final class AttentivePasses<E: Element>: PoolPasses {
  private let x: Operand<E>, gate: any Passes<E>, first: Int
  private let exponent: ParameterLayout.Slot, mean: WeightedMean
  private var recorded: Buffer<Double>?
  private var tangent: (x: Operand<E>, gate: Operand<E>)?

  init(_ x: Operand<E>, _ gate: any Passes<E>, first: Int, exponent: ParameterLayout.Slot, p: Double) {
    (self.x, self.gate, self.first, self.exponent) = (x, gate, first, exponent)
    mean = WeightedMean(p: p, channels: x.shape.channels)
  }

  private var channels: Int { x.shape.channels }

  func forward(into y: Tensor<E.Accumulator>, _ run: Run<E>) {
    let values = Buffer<Double>(count: x.shape.images * channels), mean = mean, channels = channels
    ImageMatrices.forEachImage([x, gate.y.value], writing: [], run.context) { image, read in
      for (c, value) in mean.forward(read(self.x).array, read(self.gate.y.value).array).enumerated() {
        values[image * channels + c] = value
      }
    }
    y.setColumns(first, channels, from: values)
  }

  func forwardTangent(_ xDot: Operand<E>, into yDot: Tensor<E.Accumulator>, _ run: Run<E>) throws {
    let gateDot = try gate.forwardTangent(xDot, adding: nil, run)
    let values = Buffer<Double>(count: x.shape.images * channels), mean = mean, channels = channels
    ImageMatrices.forEachImage([x, gate.y.value, xDot, gateDot], writing: [], run.context) { image, read in
      let x = zip(read(self.x).array, read(xDot).array).map { Dual($0, $1) }
      let gate = zip(read(self.gate.y.value).array, read(gateDot).array).map { Dual($0, $1) }
      for (c, value) in mean.forward(x, gate).enumerated() { values[image * channels + c] = value.tangent }
    }
    yDot.setColumns(first, channels, from: values)
    tangent = (xDot, gateDot)
  }

  func backward(
    _ yBar: Tensor<E.Accumulator>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass,
    _ run: Run<E>
  ) throws -> Gradient<E> {
    let context = run.context, shape = x.shape, channels = channels, mean = mean
    let bars =
      context.workers.isRehearsal ? Buffer<Double>(count: shape.images * channels) : yBar.columns(first, channels)
    let xBar = context.tensor(shape), gateBar = context.tensor(shape.with(channels: 1))
    let exponentBars = Buffer<Double>(count: shape.images)
    var moved: (recorded: Buffer<Double>, x: Operand<E>, gate: Operand<E>)?
    if case .regularized = pass, let recorded, let tangent { moved = (recorded, tangent.x, tangent.gate) }
    let weight = pass.tangentWeight, second = moved
    let operands = [x, gate.y.value] + (second.map { [$0.x, $0.gate] } ?? [])
    ImageMatrices.forEachImage(operands, writing: [xBar, gateBar], context) { image, read in
      let x = read(self.x).array, gate = read(self.gate.y.value).array
      let own = image * channels..<(image + 1) * channels
      let found: (x: [Double], gate: [Double], exponent: Double)
      if let second {
        // At (x, λẋ) and (ȳ, h − ȳ): value and derivative together.
        let dual = mean.backward(
          zip(x, read(second.x).array).map { Dual($0, weight * $1) },
          zip(gate, read(second.gate).array).map { Dual($0, weight * $1) },
          own.map { Dual(second.recorded[$0], bars[$0] - second.recorded[$0]) })
        found = (
          dual.x.map { $0.value + $0.tangent }, dual.gate.map { $0.value + $0.tangent },
          dual.exponent.value + dual.exponent.tangent
        )
      } else {
        found = mean.backward(x, gate, own.map { bars[$0] })
      }
      context.kernels.narrow(found.x, found.x.count, into: xBar.pointer + image * shape.area * channels)
      context.kernels.narrow(found.gate, found.gate.count, into: gateBar.pointer + image * shape.area)
      exponentBars[image] = found.exponent
    }
    if let gradients = pass.gradients {
      if !context.workers.isRehearsal {
        for image in 0..<shape.images { gradients.add(exponentBars[image], at: exponent.range.lowerBound) }
      }
    } else {
      recorded = bars
    }
    let direct = addend.map { Addition.forward(.plain(xBar), $0, context) } ?? xBar
    return try gate.backward(gate.y.target.finish(gateBar, context), adding: direct, target: target, pass, run)
  }
}

/// The weighted generalized mean of one image.
private struct WeightedMean {
  let p: Double, channels: Int

  /// Of each channel Σa x^p, with the powers of all pixels.
  private func powers<S: RealNumber>(_ x: [S], _ a: [S]) -> (logs: [S], powers: [S], sums: [S]) {
    let floor = AttentivePool<Double>.floor
    let logs = x.map { ($0.value <= floor ? S(floor) : $0).logarithm() },
      powers = logs.map { (S(p) * $0).exponential() }
    var sums = [S](repeating: S(0), count: channels)
    for (i, power) in powers.enumerated() { sums[i % channels] += a[i / channels] * power }
    return (logs, powers, sums)
  }

  /// y of each channel from x, pixels × channels, and the gate before σ.
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func forward<S: RealNumber>(_ x: [S], _ gate: [S]) -> [S] {
    let a = gate.map { $0.sigmoid() }, total = a.reduce(S(0), +)
    return powers(x, a).sums.map { (($0 / total).logarithm() * S(1 / p)).exponential() }
  }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func backward<S: RealNumber>(_ x: [S], _ gate: [S], _ yBar: [S]) -> (x: [S], gate: [S], exponent: S) {
    let a = gate.map { $0.sigmoid() }, total = a.reduce(S(0), +), (logs, powers, sums) = powers(x, a)
    let y = sums.map { (($0 / total).logarithm() * S(1 / p)).exponential() }
    var xBar: [S] = [], aBar = [S](repeating: S(0), count: a.count)
    var meanLogs = [S](repeating: S(0), count: channels)
    for (i, power) in powers.enumerated() {
      let c = i % channels, u = i / channels, share = a[u] * power / sums[c]
      xBar.append(x[i].value <= AttentivePool<Double>.floor ? S(0) : yBar[c] * y[c] * share / x[i])
      aBar[u] += yBar[c] * y[c] * S(1 / p) * (power / sums[c] - S(1) / total)
      meanLogs[c] += share * logs[i]
    }
    var exponent = S(0)
    for c in 0..<channels { exponent += yBar[c] * y[c] * S(1 / p) * (meanLogs[c] - y[c].logarithm()) }
    return (xBar, zip(aBar, a).map { $0 * $1 * (S(1) - $1) }, exponent)
  }
}
