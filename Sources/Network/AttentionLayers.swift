import Layers
import Tensors

/// What `model.attention` puts into a trunk.
extension NetworkBuilder {
  /// What gates the channels at the end of the block `name`, if anything does: tensors `<name>.se.*`, `<name>.eca.*`.
  mutating func channelGate(_ name: String, _ channels: Int) -> (any ChannelGate<E.Accumulator>)? {
    let attention = architecture.attention
    let gate: (any ChannelGate<E.Accumulator>)? = accumulating { layout, _ in
      switch attention {
      case .none, .pixel, .pixelChannel, .nonLocal, .bam, .apm, .gsam, .atac, .scan, .decoupled, .dgdm: nil
      case .se(let options): SqueezeExcitation(&layout, name + ".se", channels: channels, options)
      case .eca(let options): ChannelConvolution(&layout, name + ".eca", channels: channels, options)
      }
    }
    pack(gate)
    return gate
  }

  /// The layer at the end of the stage `name`, which is number `stage` (1…4), if there is one: tensors `<name>.gate.*`.
  mutating func stageLayer(_ name: String, stage: Int, _ channels: Int) -> (any Layer<E>)? {
    let gate = name + ".gate", isLate = stage >= 3
    return switch architecture.attention {
    case .none, .se, .eca, .nonLocal, .atac: nil
    case .pixel: pixelGate(gate, channels, perChannel: false)
    case .pixelChannel: pixelGate(gate, channels, perChannel: true)
    case .bam(let options): stage < 4 ? bottleneckAttention(gate, channels, options) : nil
    case .apm(let options): attentionPyramid(gate, channels, options)
    case .gsam: groupAttention(gate, channels)
    case .scan: isLate ? selfAndChannelAttention(gate, channels) : nil
    case .decoupled(let options): isLate ? decoupledAttention(gate, channels, options) : nil
    case .dgdm(let options):
      isLate && !options.leavesAll ? AttentionDropout<E>(options, stream: Self.dropoutStream + stage) : nil
    }
  }

  /// Beyond those of heads.
  private static var dropoutStream: Int { 4096 }

  /// Whether the ReLUs within a block of stage 1…4 give way to `activation`.
  func hasActivations(stage: Int) -> Bool { architecture.attention.kind == .atac && stage >= 3 }

  /// What takes the place of a ReLU behind a norm: tensors `<name>.*`.
  mutating func activation(_ name: String, _ channels: Int) -> any Layer<E> {
    guard case .atac(let options) = architecture.attention else { preconditionFailure("blocks have ReLUs") }
    return attentionalActivation(name, channels, options)
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
