import Foundation
import Tensors

/// GeM pooling (Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", 2018): the generalized mean
/// over an image's pixels, with one trained exponent p, into columns of a matrix of accumulators.
///
///     y = m(u^p)^{1/p},  u = max(x, ε)
///
/// In logarithms, r = log u and ℓ = log y, with the weights q = u^p / Σu^p = e^{p(r − ℓ)}/area, which add up to 1:
///
///     ẏ = y·ℓ̇,  ℓ̇ = Σqṙ,  ṙ = (ẋ/u)·[x > ε]              p does not move in a tangent
///     x̄ = ȳ·w,  w = y·q/u·[x > ε] = (u/y)^{p−1}/area·[x > ε]
///     p̄ += Σȳ·g,  g = (y/p)(e − ℓ),  e = Σqr               over images and channels
///     x̄˙ = w·(ȳ˙ + ȳ·(p − 1)(ṙ − ℓ̇))
///     p̄˙ += Σ(ȳ˙·g + ȳ·ġ),  ġ = ℓ̇·g + y·(Σqrṙ − ℓ̇e)
///
/// The last two lines carry h = ȳ + λȳ˙ (see `BackwardPass`). Kept of the forward pass: x, and ℓ and e of each image and
/// channel; of a recording backward pass ȳ; of a tangent pass ẋ, and ℓ̇ and Σqrṙ of each image and channel.
///
/// x: n×h×w×c of storage elements, y: n×1×1×C of accumulators. Precision: float64 within an image, x̄ rounded once; p̄ is
/// summed over an image's channels in float64 and over images on the grid of `ParameterGradients`. Collectives: none; p̄ is
/// a local sum that the gradient reduction adds up over ranks.
package final class GeneralizedMean<E: Element>: Pool {
  /// What p starts from: the authors'.
  package static var initialExponent: Double { 3 }
  /// ε: below it a pixel counts as this much and has no gradient. The authors' value.
  fileprivate static var floor: Double { 1e-6 }

  /// p; of a kind of its own, so that a penalty can leave it out: near 0, where one would pull it, there is no mean.
  package let exponent: ParameterLayout.Slot

  /// Tensor `<name>.p`.
  package init(_ layout: inout ParameterLayout, _ name: String) {
    exponent = layout.add(name + ".p", .exponent, shape: [1])
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let p = graph.scalar(exponent), powers = graph.with(p, "Pow", graph.with(Self.floor, "Max", x))
    return graph.with(1 / p, "Pow", graph.pooledMeans(powers))
  }

  /// x has to be stored as it is.
  package func forward(_ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>)
    -> any PoolPasses<E>
  {
    run.row(String(exponent.name.dropLast(2)), { _ in Shape(x.shape.images, 1, 1, x.shape.channels) }) {
      run.note([exponent])
      return GeneralizedMeanPasses(self, x, into: y, first: first, run)
    }
  }
}

private final class GeneralizedMeanPasses<E: Element>: PoolPasses {
  private let exponent: ParameterLayout.Slot, p: Double
  private let x: Operand<E>, first: Int
  /// ℓ and e, of each image and channel.
  private let logs: Buffer<Double>, meanLogs: Buffer<Double>
  private var recorded: Buffer<Double>?
  /// ẋ; ℓ̇ and Σqrṙ of each image and channel.
  private var tangent: (x: Operand<E>, logs: Buffer<Double>, products: Buffer<Double>)?

  init(
    _ pool: GeneralizedMean<E>, _ x: Operand<E>, into y: Tensor<E.Accumulator>, first: Int, _ run: Run<E>
  ) {
    precondition(x.isPlain, "a map that is pooled is stored")
    let exponent = pool.exponent, p = Double(run.parameters.values[exponent.range.lowerBound])
    (self.exponent, self.p, self.x, self.first) = (exponent, p, x, first)
    let channels = x.shape.channels, area = Double(x.shape.area), count = x.shape.images * channels
    let sums = Buffer<Double>(count: count), weighted = Buffer<Double>(count: count), y0 = Buffer<Double>(count: count)
    let powers = sums.pointer, products = weighted.pointer
    Self.forEachPixel(x, nil, run.context) { at, values, _ in
      for c in 0..<channels {
        let r = Self.logarithm(values[c]), power = exp(p * r)
        powers[at + c] += power
        products[at + c] += power * r
      }
    }
    for i in 0..<count {
      weighted[i] /= sums[i]
      sums[i] = log(sums[i] / area) / p
      y0[i] = exp(sums[i])
    }
    (logs, meanLogs) = (sums, weighted)
    if !run.context.workers.isRehearsal { y.setColumns(first, channels, from: y0) }
  }

  /// r. A NaN stays one.
  private static func logarithm(_ x: Double) -> Double {
    let floor = GeneralizedMean<E>.floor
    return log(x < floor ? floor : x)
  }

  func forwardTangent(_ xDot: Operand<E>, into yDot: Tensor<E.Accumulator>, _ run: Run<E>) {
    precondition(xDot.isPlain, "a map that is pooled is stored")
    let channels = x.shape.channels, count = logs.count, p = p, floor = GeneralizedMean<E>.floor
    let inverseArea = 1 / Double(x.shape.area)
    let logDots = Buffer<Double>(count: count), products = Buffer<Double>(count: count)
    let l = logs.pointer, lDots = logDots.pointer, lProducts = products.pointer
    Self.forEachPixel(x, xDot, run.context) { at, values, dots in
      for c in 0..<channels where values[c] > floor {
        let r = log(values[c]), part = exp(p * (r - l[at + c])) * inverseArea * dots[c] / values[c]
        lDots[at + c] += part
        lProducts[at + c] += part * r
      }
    }
    tangent = (xDot, logDots, products)
    let y = Buffer<Double>(count: count)
    for i in 0..<count { y[i] = exp(logs[i]) * logDots[i] }
    if !run.context.workers.isRehearsal { yDot.setColumns(first, channels, from: y) }
  }

  func backward(
    _ yBar: Tensor<E.Accumulator>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass,
    _ run: Run<E>
  ) -> Gradient<E> {
    let channels = x.shape.channels
    let bars =
      run.context.workers.isRehearsal ? Buffer<Double>(count: logs.count) : yBar.columns(first, channels)
    guard case .regularized(let gradients, let weight) = pass, let recorded, let tangent else {
      if let gradients = pass.gradients {
        addExponent(to: gradients, run) { i, g in bars[i] * g }
      } else {
        recorded = bars
      }
      return dataGradient(bars, addend, target, nil, run.context)
    }
    addExponent(to: gradients, run) { i, g in
      let gDot =
        tangent.logs[i] * g + exp(self.logs[i]) * (tangent.products[i] - tangent.logs[i] * self.meanLogs[i])
      return bars[i] * g + weight * recorded[i] * gDot
    }
    let constants = Buffer<Double>(count: logs.count)
    for i in 0..<logs.count { constants[i] = weight * recorded[i] * (p - 1) }
    return dataGradient(bars, addend, target, (tangent.x, tangent.logs, constants), run.context)
  }

  /// Adds `term(i, g)` of every image and channel i to p̄.
  private func addExponent(
    to gradients: ParameterGradients, _ run: Run<E>, _ term: (_ i: Int, _ g: Double) -> Double
  ) {
    guard !run.context.workers.isRehearsal else { return }
    let channels = x.shape.channels
    for image in 0..<x.shape.images {
      var sum = 0.0
      for i in image * channels..<(image + 1) * channels {
        sum += term(i, exp(logs[i]) / p * (meanLogs[i] - logs[i]))
      }
      gradients.add(sum, at: exponent.range.lowerBound)
    }
  }

  /// w·(ȳ + factor·(ṙ − ℓ̇)), finished.
  private func dataGradient(
    _ barValues: Buffer<Double>, _ addend: Tensor<E>?, _ target: GradientTarget<E>,
    _ tangent: (x: Operand<E>, logs: Buffer<Double>, factors: Buffer<Double>)?, _ context: Context<E>
  ) -> Gradient<E> {
    var epilogue = Epilogue(out: context.tensor(x.shape))
    epilogue.addend = addend
    epilogue.target = target
    let shape = x.shape, channels = shape.channels, count = shape.width * channels, p = p
    let inverseArea = 1 / Double(shape.area), floor = GeneralizedMean<E>.floor, kernels = context.kernels
    let l = logs.pointer, bars = barValues.pointer
    let moving = tangent.map { (logs: $0.logs.pointer, factors: $0.factors.pointer) }
    context.workers.work.move(.activations, x.bytes + (tangent?.x.bytes ?? 0))
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * count) { scratch in
        let values = scratch.baseAddress!, dots = values + count, at = line / shape.height * channels
        kernels.widen(x.tensor.pointer + line * count, count, into: values)
        if let tangent { kernels.widen(tangent.x.tensor.pointer + line * count, count, into: dots) }
        for i in 0..<count {
          guard values[i] > floor else {
            // A NaN stays one.
            values[i] = values[i].isNaN ? .nan : 0
            continue
          }
          let k = at + i % channels
          var bar = bars[k]
          if let moving { bar += moving.factors[k] * (dots[i] / values[i] - moving.logs[k]) }
          values[i] = exp((p - 1) * (log(values[i]) - l[k])) * inverseArea * bar
        }
        SumConversion.narrow(values, count: count, to: rows)
      }
      return channels
    }
    withExtendedLifetime((logs, tangent, barValues)) {}
    return Gradient(tensor: epilogue.out, sums: sums)
  }

  /// body(image × channels, pixel of x, pixel of `second`) for all pixels, those of an image in order on one thread.
  private static func forEachPixel(
    _ x: Operand<E>, _ second: Operand<E>?, _ context: Context<E>,
    _ body: (_ at: Int, _ values: UnsafePointer<Double>, _ second: UnsafePointer<Double>) -> Void
  ) {
    let shape = x.shape, channels = shape.channels, count = shape.width * channels
    let kernels = context.kernels
    context.workers.work.move(.activations, x.bytes + (second?.bytes ?? 0))
    context.workers.reserveScratch(bytes: 2 * count * MemoryLayout<Double>.size)
    context.workers.parallelFor(shape.images) { image, worker in
      let line = context.workers.scratch(worker).assumingMemoryBound(to: Double.self), other = line + count
      for row in 0..<shape.height {
        let start = (image * shape.height + row) * count
        kernels.widen(x.tensor.pointer + start, count, into: line)
        if let second { kernels.widen(second.tensor.pointer + start, count, into: other) }
        for column in 0..<shape.width { body(image * channels, line + column * channels, other + column * channels) }
      }
    }
    withExtendedLifetime((x, second)) {}
  }
}
