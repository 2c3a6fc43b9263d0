import Kernels
import Tensors

/// The unified aggregation gate of OSNet (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019,
/// equation 3): one gate of channels weighs every stream, and the streams are added up.
///
///     y = Σ_t g_t∘x_t,  g_t = gate(s_t),  s_t = m(x_t), the mean over an image's pixels
///     ẏ = Σ_t (g_t∘ẋ_t + ġ_t∘x_t)                          ġ_t from ṡ_t = m(ẋ_t)
///     ḡ_t = Σ ȳ∘x_t,  x̄_t = g_t∘ȳ + s̄_t/area               Σ over an image's pixels, s̄_t from ḡ_t
///     ḡ_t˙ = Σ (ȳ˙∘x_t + ȳ∘ẋ_t),  x̄_t˙ = g_t∘ȳ˙ + ġ_t∘ȳ + s̄_t˙/area
///
/// The last line carries h = ȳ + λȳ˙ (see `BackwardPass`). Stored: y, by a tangent pass ẏ, by a recording backward pass ȳ.
///
/// x_t, y: n×h×w×c, x_t as they are read. Precision: sums in the accumulator within a line of pixels, in float64 within an
/// image; gates in the accumulator; y and x̄_t summed in the accumulator, rounded once. Collectives: none.
package final class UnifiedGate<E: Element> {
  package typealias A = E.Accumulator
  private let gate: any ChannelGate<A>

  package init(_ gate: any ChannelGate<A>) { self.gate = gate }

  package func express(_ streams: [InferenceGraph.Value], in graph: InferenceGraph) -> InferenceGraph.Value {
    let weighed = streams.map { graph.product($0, gate.express(graph.means($0), in: graph)) }
    return weighed.dropFirst().reduce(weighed[0]) { graph.sum($0, $1) }
  }

  package func forward(_ streams: [Feature<E>], _ run: Run<E>) -> UnifiedGatePasses<E> {
    let shape = streams[0].shape, values = streams.map(\.value)
    precondition(streams.allSatisfy { $0.shape == shape })
    let sums = ImageProducts.sums(values, times: nil, run.context)
    let gates = sums.map { gate.forward($0.scaled(1 / Double(shape.area)), images: shape.images, run.accumulating) }
    let terms = zip(values, gates).map { (operand: $0, factors: $1.g.narrowed(A.self)) }
    return UnifiedGatePasses(streams, gates, y: WeighedSum.store(terms, adding: nil, run.context))
  }
}

/// What follows a `UnifiedGate`'s forward pass, in the order of `Passes`, of several inputs.
package final class UnifiedGatePasses<E: Element> {
  package typealias A = E.Accumulator
  /// Stored.
  package let y: Feature<E>
  private let streams: [Feature<E>], gates: [any ChannelGatePasses<A>]
  private var recorded: Tensor<E>?
  private var tangent: (x: [Operand<E>], g: [Buffer<Double>], y: Tensor<E>)?

  fileprivate init(_ streams: [Feature<E>], _ gates: [any ChannelGatePasses<A>], y: Tensor<E>) {
    (self.streams, self.gates, self.y) = (streams, gates, .plain(y))
  }

  private var shape: Shape { y.shape }
  private var inverseArea: Double { 1 / Double(shape.area) }

  /// From the tangents of the streams to ẏ + v.
  package func forwardTangent(_ xDots: [Operand<E>], adding v: Tensor<E>?, _ run: Run<E>) -> Operand<E> {
    let sums = ImageProducts.sums(xDots, times: nil, run.context)
    let gDots = zip(gates, sums).map { $0.forwardTangent($1.scaled(inverseArea), run.accumulating) }
    var terms: [WeighedSum<E>.Term] = []
    for t in streams.indices {
      terms.append((xDots[t], gates[t].g.narrowed(A.self)))
      terms.append((streams[t].value, gDots[t].narrowed(A.self)))
    }
    let yDot = WeighedSum.store(terms, adding: v, run.context)
    tangent = (xDots, gDots, yDot)
    return .plain(yDot)
  }

  /// From the gradient of y to those of the streams, each finished by its target.
  package func backward(_ yBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) -> [Gradient<E>] {
    let gBars = ImageProducts.sums(streams.map(\.value), times: .plain(yBar), run.context)
    var second: (yBar: Tensor<E>, g: [Buffer<Double>])?
    if case .regularized(_, let weight) = pass, let recorded, let tangent {
      let cross = ImageProducts.sums(tangent.x, times: .plain(recorded), run.context)
      for t in gBars.indices { for i in 0..<gBars[t].count { gBars[t][i] += weight * cross[t][i] } }
      second = (recorded, tangent.g.map { $0.scaled(weight) })
    }
    if pass.gradients == nil { recorded = yBar }
    return streams.indices.map { t in
      let sBar = gates[t].backward(gBars[t], pass, run.accumulating)
      let g = gates[t].g.narrowed(A.self), constant = sBar.scaled(inverseArea).narrowed(A.self)
      let bar: Operand<E> =
        second.map {
          .gradient(
            yBar, through: $0.yBar,
            NormCoefficients(a: g, b: $0.g[t].narrowed(A.self), c: constant, imageStride: shape.channels))
        } ?? .affine(yBar, scale: g, shift: constant, imageStride: shape.channels)
      return Self.finish(bar, streams[t].target, run.context)
    }
  }

  /// What is read as `bar`, written.
  private static func finish(_ bar: Operand<E>, _ target: GradientTarget<E>, _ context: Context<E>) -> Gradient<E> {
    let shape = bar.shape, view = bar.view(.exact), kernels = context.kernels
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.target = target
    context.workers.work.move(.activations, bar.bytes)
    let sums = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      kernels.read(
        view, image: line / shape.height, pixel: line * shape.width, shape.width, channels: shape.channels, into: rows)
      return shape.channels
    }
    withExtendedLifetime(bar) {}
    return Gradient(tensor: epilogue.out, sums: sums)
  }

  package var storedTangents: [Tensor<E>] { [tangent?.y].compactMap { $0 } }
}

/// Σ over operands of factors∘operand, with a factor an image and channel.
private enum WeighedSum<E: Element> {
  typealias Term = (operand: Operand<E>, factors: Buffer<E.Accumulator>)

  /// Stored, plus `addend`.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  static func store(_ terms: [Term], adding addend: Tensor<E>?, _ context: Context<E>) -> Tensor<E> {
    let shape = terms[0].operand.shape, kernels = context.kernels, channels = shape.channels
    var epilogue = Epilogue(out: context.tensor(shape))
    epilogue.addend = addend
    context.workers.work.move(.activations, terms.reduce(0) { $0 + $1.operand.bytes })
    let views = terms.map { (operand: $0.operand.view(.exact), factors: $0.factors.pointer) }
    _ = RowStore.run(epilogue, lines: shape.images * shape.height, columns: shape.width, context) { line, rows in
      let image = line / shape.height
      withUnsafeTemporaryAllocation(of: E.Accumulator.self, capacity: shape.width * channels) { scratch in
        for (index, view) in views.enumerated() {
          kernels.read(
            view.operand, image: image, pixel: line * shape.width, shape.width, channels: channels,
            into: scratch.baseAddress!)
          kernels.weigh(
            scratch.baseAddress!, by: view.factors + image * channels, shape.width, channels: channels,
            accumulates: index > 0, into: rows)
        }
      }
      return channels
    }
    withExtendedLifetime(terms) {}
    return epilogue.out
  }
}

/// Sums over the pixels of each image.
private enum ImageProducts<E: Element> {
  /// Of each operand, Σ operand∘factor (or without one Σ operand): images × channels.
  @_specialize(where E == Float16)
  @_specialize(where E == Float)
  @_specialize(where E == Double)
  static func sums(_ operands: [Operand<E>], times factor: Operand<E>?, _ context: Context<E>) -> [Buffer<Double>] {
    let shape = operands[0].shape, kernels = context.kernels, channels = shape.channels
    let sums = operands.map { _ in Buffer<Double>(count: shape.images * channels) }
    let views = operands.map { $0.view(.exact) }, factorView = factor?.view(.exact)
    context.workers.work.move(.activations, operands.reduce(factor?.bytes ?? 0) { $0 + $1.bytes })
    context.workers.reserveScratch(bytes: 2 * shape.width * channels * MemoryLayout<E.Accumulator>.size)
    context.workers.parallelFor(shape.images) { image, worker in
      let factors = context.workers.scratch(worker).assumingMemoryBound(to: E.Accumulator.self)
      let values = factors + shape.width * channels
      for line in image * shape.height..<(image + 1) * shape.height {
        func read(_ view: OperandView<E>, into rows: UnsafeMutablePointer<E.Accumulator>) {
          kernels.read(view, image: image, pixel: line * shape.width, shape.width, channels: channels, into: rows)
        }
        if let factorView { read(factorView, into: factors) }
        for (view, sum) in zip(views, sums) {
          read(view, into: values)
          kernels.sumProducts(
            values, factorView == nil ? nil : UnsafePointer(factors), shape.width, channels: channels,
            into: sum.pointer + image * channels)
        }
      }
    }
    withExtendedLifetime((operands, factor)) {}
    return sums
  }
}

extension Buffer where Scalar == Double {
  fileprivate func scaled(_ factor: Double) -> Buffer<Double> {
    let result = Buffer<Double>(count: count)
    for i in 0..<count { result[i] = factor * self[i] }
    return result
  }

  /// Rounded once.
  fileprivate func narrowed<A: Element>(_: A.Type) -> Buffer<A> {
    let result = Buffer<A>(count: count)
    SumConversion.narrow(pointer, count: count, to: result.pointer)
    return result
  }
}
