import Layers
import Tensors

/// A layer that is built from a layout and linear maps, by itself.
struct ComposedCase: LayerCase {
  enum Kind: String {
    /// Gates from a grid, of pixels and of single values, with and without an offset.
    case gridGate, pixelGate, addingGate, activation
    case grid, branches
    case positions, decoupled, angles, channels
    case dropout
    case narrowing
  }
  let kind: Kind, shape: Shape
  var cells = 2

  var name: String { "\(kind.rawValue) of \(shape)" }
  var inputs: [Shape] { [shape] }
  var isLinear: Bool { kind == .grid }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    let c = shape.channels
    var parts = Parts<E>()
    let layer: any Layer<E> =
      switch kind {
      case .grid: GridAverage<E>(cells: cells)
      case .gridGate:
        Gated(
          [1, cells].map { cells in
            Sequential([GridAverage(cells: cells), parts.unit("g\(cells)", c, 3), parts.linear("h\(cells)", 3, c)])
          })
      case .pixelGate: Gated([Sequential([parts.unit("g", c, 3, kernel: 3), parts.linear("h", 3, 1)])])
      case .addingGate:
        Gated(
          [
            Sequential([GridAverage(cells: 1), parts.unit("c", c, 2), parts.linear("d", 2, c)]),
            Sequential([parts.unit("p", c, 3), parts.linear("q", 3, 1)]),
          ], offset: 1)
      case .activation:
        Sequential([
          parts.unit("a", c, 5, isActivated: false),
          Gated([Sequential([parts.unit("b", 5, 2), parts.unit("c", 2, 5, isActivated: false)])]),
        ])
      case .branches: BranchSum([parts.linear("a", c, c), parts.unit("b", c, c)])
      case .positions: BranchSum([parts.attention(c, .product)])
      case .decoupled: parts.attention(c, .decoupled(norms: true))
      case .angles: parts.attention(c, .decoupled(norms: false))
      case .channels: MatrixAttention<E>(channels: c, &parts.layout, "channels")
      case .dropout: AttentionDropout<E>(Self.dropout, stream: 5)
      case .narrowing: parts.narrowing(c)
      }
    let maps = parts.maps
    return BuiltLayer(
      layout: parts.layout, statistics: parts.statistics,
      pack: { parameters, context in
        for map in maps { map.pack(parameters.values, backward: true, context) }
      },
      run: { inputs, run in try passes(layer, inputs[0], run) })
  }

  private static var dropout: AttentionDropoutOptions {
    var options = AttentionDropoutOptions()
    (options.channelRate, options.erasing) = (0.5, 0.5)
    return options
  }

  /// What layers are made of.
  private struct Parts<E: Element> {
    var layout = ParameterLayout(), statistics = ParameterLayout(), maps: [any LinearMap<E>] = []

    mutating func convolution(
      _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, bias: Bool = false
    ) -> Convolution<E> {
      let map = Convolution<E>(
        &layout, name, inputs: inputs, outputs: outputs, kernel: kernel, padding: kernel / 2, bias: bias)
      maps.append(map)
      return map
    }

    mutating func unit(
      _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, isActivated: Bool = true
    ) -> any Layer<E> {
      let convolution = convolution(name, inputs, outputs, kernel: kernel)
      return NormalizedConvolution(
        convolution, Norm(&layout, &statistics, name + ".bn", channels: outputs), isActivated: isActivated)
    }

    mutating func linear(_ name: String, _ inputs: Int, _ outputs: Int) -> any Layer<E> {
      Linear(convolution(name, inputs, outputs, bias: true))
    }

    mutating func attention(_ channels: Int, _ likeness: PixelLikeness) -> any Layer<E> {
      let query = convolution("query", channels, 2, bias: true), key = convolution("key", channels, 2, bias: true)
      let value = convolution("value", channels, channels, bias: true)
      return MatrixAttention<E>(query: query, key: key, value: value, &layout, "attention", likeness)
    }

    mutating func narrowing(_ channels: Int) -> any Layer<E> {
      let map = ChannelNarrowing<E>(&layout, "narrow", channels: channels)
      maps.append(map)
      return Sequential([Linear(map), unit("after", map.geometry.outputs, 3)])
    }
  }
}

/// A pool that a gate weighs.
struct AttentivePoolCase: LayerCase {
  let shape: Shape

  var name: String { "attentive pool of \(shape)" }
  var inputs: [Shape] { [shape] }

  func build<E: Element>(_: E.Type) -> BuiltLayer<E> {
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let first = Convolution<E>(&layout, "gate.0", inputs: shape.channels, outputs: 2, kernel: 3, padding: 1)
    let norm = Norm<E>(&layout, &statistics, "gate.1", channels: 2)
    let second = Convolution<E>(&layout, "gate.3", inputs: 2, outputs: 1, bias: true)
    let pool = AttentivePool<E>(
      &layout, "pool", gate: Sequential([NormalizedConvolution(first, norm), Linear(second)]))
    return BuiltLayer(
      layout: layout, statistics: statistics,
      pack: { parameters, context in
        for map in [first, second] { map.pack(parameters.values, backward: true, context) }
      },
      run: { inputs, run in try PoolCase.passes(pool, inputs[0], shape.channels, run) })
  }
}
