import Layers
import Tensors

/// What `model.attention` puts into a trunk.
extension NetworkBuilder {
  /// What gates the channels at the end of the block `name`, if anything does: tensors `<name>.se.*`, `<name>.eca.*`.
  mutating func channelGate(_ name: String, _ channels: Int) -> (any ChannelGate<E.Accumulator>)? {
    let attention = architecture.attention
    let gate: (any ChannelGate<E.Accumulator>)? = accumulating { layout, _ in
      switch attention {
      case .none, .pixel, .pixelChannel, .nonLocal: nil
      case .se(let options): SqueezeExcitation(&layout, name + ".se", channels: channels, options)
      case .eca(let options): ChannelConvolution(&layout, name + ".eca", channels: channels, options)
      }
    }
    pack(gate)
    return gate
  }

  /// The layer at the end of the stage `name`, if there is one: tensors `<name>.gate.*`.
  mutating func stageLayer(_ name: String, _ channels: Int) -> (any Layer<E>)? {
    switch architecture.attention {
    case .none, .se, .eca, .nonLocal: nil
    case .pixel: pixelGate(name + ".gate", channels, perChannel: false)
    case .pixelChannel: pixelGate(name + ".gate", channels, perChannel: true)
    }
  }

  /// The layer behind the block `block` of the `depth` blocks of a stage (1…4), if there is one: tensors `NL_<stage>.<i>.*`, as
  /// fast-reid names them.
  mutating func blockLayer(stage: Int, block: Int, of depth: Int, _ channels: Int) -> (any Layer<E>)? {
    guard case .nonLocal(let options) = architecture.attention else { return nil }
    let first = max(0, depth - options.blocks[stage - 1])
    return block < first
      ? nil : nonLocal("NL_\(stage).\(block - first)", channels, inner: options.inner(channels))
  }
}
