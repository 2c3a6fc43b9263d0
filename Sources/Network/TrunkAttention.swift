import Layers
import Tensors

/// Attention within a trunk: gates of channels in every block, activations that attend, a layer at the end of stages, or behind
/// some blocks.
package enum TrunkAttention: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, se, eca, pixel, pixelChannel, nonLocal, bam, apm, gsam, atac, scan, decoupled, dgdm

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .se: "squeeze-and-excitation in every block (Hu et al., 2018)"
      case .eca: "efficient channel attention in every block (Wang et al., 2020)"
      case .pixel: "a gate a pixel at the end of every stage"
      case .pixelChannel: "a gate a pixel and channel at the end of every stage"
      case .nonLocal:
        "non-local blocks (Wang et al., 2018) behind the last blocks of some stages of a ResNet, as in AGW"
      case .bam: "bottleneck attention (Park et al., 2018) at the end of stages 1 to 3"
      case .apm: "the attention pyramid module at the end of every stage: gates of channels from grids of 1, 2 and 4"
      case .gsam: "group spatial attention (E-RFB) at the end of every stage: a gate a pixel from ever fewer channels"
      case .atac:
        "attentional activations (Dai et al., 2020) in place of ReLUs in the blocks of a ResNet's stages 3 and 4"
      case .scan: "self and channel attention (SCAN) at the end of stages 3 and 4"
      case .decoupled: "decoupled self-attention at the end of stages 3 and 4"
      case .dgdm: "dual-attention guided dropout (DGDM) at the end of stages 3 and 4, in training"
      }
    }
  }

  case none(NoOptions), se(ReductionOptions), eca(ChannelConvolutionOptions), pixel(NoOptions),
    pixelChannel(NoOptions), nonLocal(NonLocalOptions), bam(ReductionOptions), apm(ReductionOptions), gsam(NoOptions),
    atac(ActivationOptions), scan(NoOptions), decoupled(DecoupledOptions), dgdm(AttentionDropoutOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .se: self = .se(try read(ReductionOptions.self))
    case .eca: self = .eca(try read(ChannelConvolutionOptions.self))
    case .pixel: self = .pixel(try read(NoOptions.self))
    case .pixelChannel: self = .pixelChannel(try read(NoOptions.self))
    case .nonLocal: self = .nonLocal(try read(NonLocalOptions.self))
    case .bam: self = .bam(try read(ReductionOptions.self))
    case .apm: self = .apm(try read(ReductionOptions.self))
    case .gsam: self = .gsam(try read(NoOptions.self))
    case .atac: self = .atac(try read(ActivationOptions.self))
    case .scan: self = .scan(try read(NoOptions.self))
    case .decoupled: self = .decoupled(try read(DecoupledOptions.self))
    case .dgdm: self = .dgdm(try read(AttentionDropoutOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .se(let options): (.se, options)
    case .eca(let options): (.eca, options)
    case .pixel(let options): (.pixel, options)
    case .pixelChannel(let options): (.pixelChannel, options)
    case .nonLocal(let options): (.nonLocal, options)
    case .bam(let options): (.bam, options)
    case .apm(let options): (.apm, options)
    case .gsam(let options): (.gsam, options)
    case .atac(let options): (.atac, options)
    case .scan(let options): (.scan, options)
    case .decoupled(let options): (.decoupled, options)
    case .dgdm(let options): (.dgdm, options)
    }
  }
}
