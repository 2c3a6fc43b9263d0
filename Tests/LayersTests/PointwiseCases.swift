import Layers
import Tensors

/// Batch norm by itself, of the rows of a matrix of accumulators, as in the neck.
struct BatchNormCase: LayerCase {
  let channels: Int

  var name: String { "batch norm of \(channels) channels" }
  var inputs: [Shape] { [Shape(1, 1, 1, channels)] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let norm = Norm<E.Accumulator>(&layout, &statistics, "bn", channels: channels)
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, run in
        let (run, context) = (run.accumulating, run.context.accumulating)
        let x = tensor(doubles(inputs[0]), inputs[0].shape, context)
        let stored = try StoredNorm(norm, of: x, sums: RowSums.forward(x, context), run)
        let normalized = stored.normalized
        return .init(
          y: doubles(Operand.normalized(x, normalized.state).materialized(context)),
          forwardTangent: { xDots in
            let xDot = tensor(doubles(xDots[0]), x.shape, context)
            try stored.forwardTangent(xDot) { RowSums.tangent(xDot, of: $0, $1, context) }
            return doubles(stored.yDot.materialized(context))
          },
          backward: { yBar, pass in
            let g = finish(yBar, x.shape, GradientTarget(gate: .open, norms: [normalized]), context)
            return [try stored.backward(g.tensor, sums: g.sums, pass)]
          })
      })
  }
}

/// The end of a block, on two raw tensors: the shortcut as it is, or normalized too.
struct ResidualJoinCase: LayerCase {
  let shape: Shape
  let normalizedShortcut: Bool

  var name: String { "join with \(normalizedShortcut ? "normalized" : "identity") shortcut, \(shape)" }
  var inputs: [Shape] { [shape, shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let channels = shape.channels
    let norm = Norm<E>(&layout, &statistics, "bn", channels: channels)
    let side = normalizedShortcut ? Norm<E>(&layout, &statistics, "side", channels: channels) : nil
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, run in
        let context = run.context
        let main = try StoredNorm(norm, of: inputs[0], run)
        let other = try side.map { try StoredNorm($0, of: inputs[1], run) }
        let shortcut: ResidualJoin<E>.Shortcut = other.map { .normalized($0.normalized) } ?? .identity(inputs[1])
        let y = ResidualJoin.forward(main.normalized, shortcut, context)
        return .init(
          y: doubles(y),
          forwardTangent: { xDots in
            try main.forwardTangent(xDots[0])
            try other?.forwardTangent(xDots[1])
            return doubles(
              ResidualJoin.forwardTangent(
                y: y, main.yDot, shortcut: other?.yDot ?? .plain(xDots[1]), adding: nil, context))
          },
          backward: { yBar, pass in
            let g = finish(yBar, y.shape, ResidualJoin.target(y: y, main.normalized, shortcut), context)
            let zBar = try main.backward(g.tensor, sums: g.sums, pass)
            return [zBar, try other?.backward(g.tensor, sums: g.sums.ofSecondNorm, pass) ?? doubles(g.tensor)]
          })
      })
  }
}

/// Batch norm → ReLU (pending) → 3×3 max pooling, as after the stem.
struct MaxPoolCase: LayerCase {
  let shape: Shape
  var border = PoolBorder.padded

  var name: String { "max pool \(border) \(shape)" }
  var inputs: [Shape] { [shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let norm = Norm<E>(&layout, &statistics, "bn", channels: shape.channels)
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, run in
        let context = run.context
        let stored = try StoredNorm(norm, of: inputs[0], run)
        let normalized = stored.normalized
        let target = GradientTarget(gate: .activation(normalized), norms: [normalized])
        let saved = MaxPool.forward(.activation(normalized.z, normalized.state), border, context)
        return .init(
          y: doubles(saved.y),
          forwardTangent: { xDots in
            try stored.forwardTangent(xDots[0])
            return doubles(MaxPool.forwardTangent(saved, stored.activationDot, context))
          },
          backward: { yBar, pass in
            let yBar = tensor(yBar, saved.y.shape, context)
            let g = MaxPool.backward(saved, yBar, normalized.z.shape, target, context)
            return [try stored.backward(g.tensor, sums: g.sums, pass)]
          })
      })
  }
}

/// The mean over pixels, into some columns of a wider matrix.
struct GlobalAverageCase: LayerCase {
  let shape: Shape

  var name: String { "global average \(shape)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { true }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    BuiltLayer(
      layout: ParameterLayout(), statistics: ParameterLayout(), pack: { _, _ in },
      run: { inputs, run in
        let (x, context) = (inputs[0].shape, run.context)
        func forward(_ x: Tensor<E>) -> Tensor<E.Accumulator> {
          let y = context.accumulating.tensor(Shape(x.shape.images, 1, 1, x.shape.channels + 5))
          y.zero()
          GlobalAverage.forward(.plain(x), into: y, first: 2, context)
          return y
        }
        let y = forward(inputs[0])
        return .init(
          y: doubles(y), forwardTangent: { doubles(forward($0[0])) },
          backward: { yBar, _ in
            let yBar = tensor(yBar, y.shape, context.accumulating)
            return [doubles(GlobalAverage.backward(yBar, first: 2, x, .plain, context).tensor)]
          })
      })
  }
}

/// A pool, into some columns of a wider matrix.
struct PoolCase: LayerCase {
  enum Kind: String { case average, max, generalizedMean = "generalized mean" }
  let kind: Kind, shape: Shape

  var name: String { "pool \(shape) by \(kind.rawValue)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { kind == .average }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let pool: any Pool<E> =
      switch kind {
      case .average: AveragePool<E>()
      case .max: GlobalMax<E>()
      case .generalizedMean: GeneralizedMean<E>(&layout, "pool")
      }
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(), pack: { _, _ in },
      run: { inputs, run in try Self.passes(pool, inputs[0], shape.channels, run) })
  }

  static func passes<E: Element>(_ pool: any Pool<E>, _ x: Tensor<E>, _ channels: Int, _ run: Run<E>) throws
    -> BuiltLayer<E>.Pass
  {
    func feature() -> Tensor<E.Accumulator> {
      let feature = run.context.accumulating.tensor(Shape(x.shape.images, 1, 1, channels + 5))
      feature.zero()
      return feature
    }
    let y = feature()
    let passes = try pool.forward(.plain(x), into: y, first: 2, run)
    return .init(
      y: doubles(y),
      forwardTangent: { xDots in
        let yDot = feature()
        try passes.forwardTangent(.plain(xDots[0]), into: yDot, run)
        return doubles(yDot)
      },
      backward: { yBar, pass in
        let yBar = tensor(yBar, y.shape, run.context.accumulating)
        return [doubles(try passes.backward(yBar, adding: nil, target: .plain, pass, run).tensor)]
      })
  }
}

/// A random mask of a stored map, or of a pending activation.
struct MaskCase: LayerCase {
  let kind: MaskKind, shape: Shape
  var isActivation = false

  var name: String { "mask \(kind) of \(shape)\(isActivation ? ", an activation" : "")" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { !isActivation }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let mask = RandomMask<E>(kind, stream: 3)
    let norm = isActivation ? Norm<E>(&layout, &statistics, "bn", channels: shape.channels) : nil
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, run in
        guard let norm else { return try passes(mask, inputs[0], run) }
        let stored = try StoredNorm(norm, of: inputs[0], run), normalized = stored.normalized
        let target = GradientTarget(gate: .activation(normalized), norms: [normalized])
        let passes = try mask.forward(Feature(.activation(normalized.z, normalized.state), target), run)
        return .init(
          y: doubles(passes.y.value.tensor),
          forwardTangent: { xDots in
            try stored.forwardTangent(xDots[0])
            return doubles(try passes.forwardTangent(stored.activationDot, adding: nil, run).tensor)
          },
          backward: { yBar, pass in
            let yBar = Gradient(tensor: tensor(yBar, passes.y.shape, run.context), sums: .none)
            let g = try passes.backward(yBar, adding: nil, target: target, pass, run)
            return [try stored.backward(g.tensor, sums: g.sums, pass)]
          })
      })
  }
}

/// A band of a stored map.
struct BandCase: LayerCase {
  let index: Int, count: Int, shape: Shape

  var name: String { "band \(index) of \(count) of \(shape)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { true }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    BuiltLayer(
      layout: ParameterLayout(), statistics: ParameterLayout(), pack: { _, _ in },
      run: { inputs, run in try passes(Band(index, of: count), inputs[0], run) })
  }
}

/// Nearest upsampling.
struct UpsampleCase: LayerCase {
  let shape: Shape, height: Int, width: Int

  var name: String { "upsample \(shape) to \(height)×\(width)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { true }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    BuiltLayer(
      layout: ParameterLayout(), statistics: ParameterLayout(), pack: { _, _ in },
      run: { inputs, run in
        let context = run.context
        let y = Upsample.forward(inputs[0], height: height, width: width, context)
        return .init(
          y: doubles(y),
          forwardTangent: { doubles(Upsample.forward($0[0], height: height, width: width, context)) },
          backward: { yBar, _ in
            let yBar = tensor(yBar, y.shape, context)
            return [doubles(Upsample.backward(yBar, height: shape.height, width: shape.width, context))]
          })
      })
  }
}

/// The layer of docs/extending.md.
struct ChannelScaleCase: LayerCase {
  let shape: Shape

  var name: String { "factors of the channels of \(shape)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { true }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    let layer = ChannelScale<E>(&layout, "scale", channels: shape.channels)
    return BuiltLayer(
      layout: layout, statistics: ParameterLayout(), pack: { _, _ in },
      run: { inputs, run in try passes(layer, inputs[0], run) })
  }
}
