import Layers
import Tensors

/// This rank's Σz and Σz² a channel.
private func moments<E: Element>(_ z: Tensor<E>) -> [Double] {
  let channels = z.shape.channels
  let values = doubles(z)
  var sums = [Double](repeating: 0, count: 2 * channels)
  for (i, value) in values.enumerated() {
    sums[i % channels] += value
    sums[channels + i % channels] += value * value
  }
  return sums
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
    let norm = BatchNorm<E>(&layout, &statistics, "bn", channels: shape.channels)
    let side = normalizedShortcut ? BatchNorm<E>(&layout, &statistics, "side", channels: shape.channels) : nil
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, parameters, _, context in
        let (z, x) = (inputs[0], inputs[1])
        let channels = z.shape.channels
        let main = GradientTarget<E>.Normalized(
          z, try norm.normalize(moments(z), count: z.shape.pixels, parameters, context.communicator))
        let other = try side.map { side in
          GradientTarget<E>.Normalized(
            x, try side.normalize(moments(x), count: x.shape.pixels, parameters, context.communicator))
        }
        let shortcut: ResidualJoin<E>.Shortcut = other.map { .normalized($0) } ?? .identity(x)
        let y = ResidualJoin.forward(main, shortcut, context)
        return .init(y: doubles(y)) { yBar, gradients in
          let g = finish(yBar, y.shape, ResidualJoin.target(y: y, main, shortcut), context)
          let coefficients = try norm.backward(main.state, g.sums, parameters, into: gradients, context.communicator)
            .coefficients
          let zBar = doubles(Operand.gradient(g.tensor, through: z, coefficients).materialized(context))
          guard let side, let other else { return [zBar, doubles(g.tensor)] }
          let sums = Array(g.sums[0..<channels] + g.sums[2 * channels..<3 * channels])
          let sideCoefficients = try side.backward(other.state, sums, parameters, into: gradients, context.communicator)
            .coefficients
          return [zBar, doubles(Operand.gradient(g.tensor, through: x, sideCoefficients).materialized(context))]
        }
      })
  }
}

/// Batch norm → ReLU (pending) → 3×3 max pooling, as after the stem.
struct MaxPoolCase: LayerCase {
  let shape: Shape

  var name: String { "max pool \(shape)" }
  var inputs: [Shape] { [shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let norm = BatchNorm<E>(&layout, &statistics, "bn", channels: shape.channels)
    return BuiltLayer(
      layout: layout, statistics: statistics, pack: { _, _ in },
      run: { inputs, parameters, _, context in
        let z = inputs[0]
        let state = try norm.normalize(moments(z), count: z.shape.pixels, parameters, context.communicator)
        let normalized = GradientTarget<E>.Normalized(z, state)
        let saved = MaxPool.forward(.activation(z, state), context)
        return .init(y: doubles(saved.y)) { yBar, gradients in
          let target = GradientTarget(gate: .activation(normalized), norms: [normalized])
          let g = MaxPool.backward(saved, tensor(yBar, saved.y.shape, context), z.shape, target, context)
          let coefficients = try norm.backward(state, g.sums, parameters, into: gradients, context.communicator)
            .coefficients
          return [doubles(Operand.gradient(g.tensor, through: z, coefficients).materialized(context))]
        }
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
      run: { inputs, _, _, context in
        let x = inputs[0]
        let y = context.accumulating.tensor(Shape(x.shape.images, 1, 1, x.shape.channels + 5))
        y.fill([E.Accumulator](repeating: 0, count: y.shape.count))
        GlobalAverage.forward(x, into: y, first: 2, context)
        return .init(y: doubles(y)) { yBar, _ in
          let yBar = tensor(yBar, y.shape, context.accumulating)
          return [doubles(GlobalAverage.backward(yBar, first: 2, x.shape, .plain, context).tensor)]
        }
      })
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
      run: { inputs, _, _, context in
        let x = inputs[0]
        let y = Upsample.forward(x, height: height, width: width, context)
        return .init(y: doubles(y)) { yBar, _ in
          let xBar = Upsample.backward(
            tensor(yBar, y.shape, context), height: shape.height, width: shape.width, context)
          return [doubles(xBar)]
        }
      })
  }
}
