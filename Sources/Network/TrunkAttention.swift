import Layers
import Tensors

/// Attention within a trunk: gates of channels in every block, a layer at the end of every stage, or behind some blocks.
package enum TrunkAttention: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, se, eca, pixel, pixelChannel, nonLocal

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .se: "squeeze-and-excitation in every block (Hu et al., 2018)"
      case .eca: "efficient channel attention in every block (Wang et al., 2020)"
      case .pixel: "a gate a pixel at the end of every stage"
      case .pixelChannel: "a gate a pixel and channel at the end of every stage"
      case .nonLocal:
        "non-local blocks (Wang et al., 2018) behind the last blocks of some stages of a ResNet, as in AGW"
      }
    }
  }

  case none(NoOptions), se(SqueezeExcitationOptions), eca(ChannelConvolutionOptions), pixel(NoOptions),
    pixelChannel(NoOptions), nonLocal(NonLocalOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .se: self = .se(try read(SqueezeExcitationOptions.self))
    case .eca: self = .eca(try read(ChannelConvolutionOptions.self))
    case .pixel: self = .pixel(try read(NoOptions.self))
    case .pixelChannel: self = .pixelChannel(try read(NoOptions.self))
    case .nonLocal: self = .nonLocal(try read(NonLocalOptions.self))
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
    }
  }
}
