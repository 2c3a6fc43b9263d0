import Layers
import Tensors

/// Attention within a trunk: gates of channels in every block, or a layer at the end of every stage.
package enum TrunkAttention: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, se, eca, pixel, pixelChannel

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .se: "squeeze-and-excitation in every block (Hu et al., 2018)"
      case .eca: "efficient channel attention in every block (Wang et al., 2020)"
      case .pixel: "a gate a pixel at the end of every stage"
      case .pixelChannel: "a gate a pixel and channel at the end of every stage"
      }
    }
  }

  case none(NoOptions), se(SqueezeExcitationOptions), eca(ChannelConvolutionOptions), pixel(NoOptions),
    pixelChannel(NoOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .se: self = .se(try read(SqueezeExcitationOptions.self))
    case .eca: self = .eca(try read(ChannelConvolutionOptions.self))
    case .pixel: self = .pixel(try read(NoOptions.self))
    case .pixelChannel: self = .pixelChannel(try read(NoOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .se(let options): (.se, options)
    case .eca(let options): (.eca, options)
    case .pixel(let options): (.pixel, options)
    case .pixelChannel(let options): (.pixelChannel, options)
    }
  }
}

extension NetworkBuilder {
  /// What gates the channels at the end of the block `name`, if anything does: tensors `<name>.se.*`, `<name>.eca.*`.
  mutating func channelGate(_ name: String, _ channels: Int) -> (any ChannelGate<E.Accumulator>)? {
    let attention = architecture.attention
    let gate: (any ChannelGate<E.Accumulator>)? = accumulating { layout, _ in
      switch attention {
      case .none, .pixel, .pixelChannel: nil
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
    case .none, .se, .eca: nil
    case .pixel: pixelGate(name + ".gate", channels, perChannel: false)
    case .pixelChannel: pixelGate(name + ".gate", channels, perChannel: true)
    }
  }
}
