import Layers
import Tensors

/// The branches that open a gate, by the names of their tensors.
extension NetworkBuilder {
  /// `<name>.0` a convolution without bias, `<name>.1` its norm.
  mutating func unit(
    _ name: String, at place: Int = 0, _ inputs: Int, _ outputs: Int, kernel: Int = 1, isActivated: Bool = true
  ) -> NormalizedConvolution<E> {
    NormalizedConvolution(
      convolution("\(name).\(place)", inputs, outputs, kernel: kernel), norm("\(name).\(place + 1)", outputs),
      isActivated: isActivated)
  }

  func hidden(_ channels: Int, _ reduction: Int) -> Int { max(1, channels / reduction) }

  /// A few hidden values of a map's means: `<name>.0`, `<name>.1`.
  mutating func squeeze(_ name: String, _ channels: Int, _ hidden: Int) -> any Layer<E> {
    Sequential([GridAverage(cells: 1), unit(name, channels, hidden)])
  }

  /// A gate a pixel from its surroundings: 3×3 unit to a sixteenth of the channels, 1×1 to one (GLAP).
  mutating func surroundings(_ name: String, _ channels: Int) -> any Layer<E> {
    let inner = hidden(channels, 16)
    return Sequential([
      unit(name, channels, inner, kernel: 3), Linear(convolution(name + ".3", inner, 1, bias: true)),
    ])
  }

  /// BAM (Park et al., "BAM: Bottleneck Attention Module", 2018), y = x∘(1 + σ(c + p)): c from the means of channels, p from
  /// two 3×3 units on the map. (The authors' 3×3 are dilated by 4.)
  mutating func bottleneckAttention(_ name: String, _ channels: Int, _ options: ReductionOptions) -> any Layer<E> {
    let inner = hidden(channels, options.reduction), channel = name + ".channel", pixel = name + ".pixel"
    return Gated(
      [
        Sequential([
          GridAverage(cells: 1), unit(channel, channels, inner),
          Linear(convolution(channel + ".3", inner, channels, bias: true)),
        ]),
        Sequential([
          unit(pixel, channels, inner), unit(pixel, at: 3, inner, inner, kernel: 3),
          unit(pixel, at: 6, inner, inner, kernel: 3), Linear(convolution(pixel + ".9", inner, 1, bias: true)),
        ]),
      ], offset: 1)
  }

  /// The attention pyramid module (APM, ICPR 2020; reconstructed from the abstract): gates of channels from the means over
  /// grids of 1, 2 and 4 cells a side, added up before σ.
  mutating func attentionPyramid(_ name: String, _ channels: Int, _ options: ReductionOptions) -> any Layer<E> {
    let inner = hidden(channels, options.reduction)
    return Gated(
      [1, 2, 4].map { cells in
        let name = "\(name).grid\(cells)"
        return Sequential([
          GridAverage(cells: cells), unit(name, channels, inner),
          Linear(convolution(name + ".3", inner, channels, bias: true)),
        ])
      })
  }

  /// GSAM: a gate a pixel from the map, narrowed to a quarter of its channels level by level until one is left, with norms
  /// and ReLUs between (see `ChannelNarrowing`).
  mutating func groupAttention(_ name: String, _ channels: Int) -> any Layer<E> {
    var levels: [any Layer<E>] = [], width = channels
    repeat {
      let narrowing = narrowing("\(name).level\(levels.count).0", width)
      width = narrowing.geometry.outputs
      levels.append(
        NormalizedConvolution(narrowing, norm("\(name).level\(levels.count).1", width), isActivated: width > 1))
    } while width > 1
    return Gated([Sequential(levels)])
  }

  /// ATAC (Dai et al., "Attention as Activation", ICPR 2020), in place of a ReLU on the output a of a norm:
  /// a∘σ(n₂(W₂∗max(0, n₁(W₁∗a)))), each pixel by itself.
  mutating func attentionalActivation(_ name: String, _ channels: Int, _ options: ActivationOptions) -> any Layer<E> {
    let inner = hidden(channels, options.reduction)
    return Gated([
      Sequential([unit(name, channels, inner), unit(name, at: 3, inner, channels, isActivated: false)])
    ])
  }

  /// SCAN ("SCAN: Self and Channel Attention Network for Person Re-Identification", ICPR 2020; reconstructed from the abstract): what
  /// attention over pixels and over channels add to a map. Both begin with nothing.
  mutating func selfAndChannelAttention(_ name: String, _ channels: Int) -> any Layer<E> {
    let pixels = pixelAttention(name, channels, .product)
    return BranchSum([
      pixels, accumulating { layout, _ in MatrixAttention<E>(channels: channels, &layout, name) },
    ])
  }

  /// The decoupled self-attention module (ICPR 2020; reconstructed from the abstract), see `PixelAttention`.
  mutating func decoupledAttention(_ name: String, _ channels: Int, _ options: DecoupledOptions) -> any Layer<E> {
    BranchSum([pixelAttention(name, channels, .decoupled(norms: options.norms))])
  }

  /// Queries and keys of an eighth of the channels. Weights begin as PyTorch's do: products of wider ones would leave nothing
  /// of a softmax but its largest.
  private mutating func pixelAttention(
    _ name: String, _ channels: Int, _ likeness: PixelLikeness
  ) -> MatrixAttention<E> {
    let inner = max(1, channels / 8)
    let query = convolution(name + ".query", channels, inner, bias: true, start: .fanIn)
    let key = convolution(name + ".key", channels, inner, bias: true, start: .fanIn)
    let value = convolution(name + ".value", channels, channels, bias: true, start: .fanIn)
    return accumulating { layout, _ in
      MatrixAttention<E>(query: query, key: key, value: value, &layout, name, likeness)
    }
  }
}

/// Of `attentionalActivation`.
package struct ActivationOptions: Options {
  package var reduction = 2

  package init() {}
  package static var fields: [OptionField<Self>] {
    [.integer("reduction", \.reduction, 1...4096, "The channels for each hidden value; one at least is left.")]
  }
}

/// Of `decoupledAttention`.
package struct DecoupledOptions: Options {
  package var norms = true

  package init() {}
  package static var fields: [OptionField<Self>] {
    [.flag("norms", \.norms, "Whether the keys' norms count beside the angle.")]
  }
}
