import Layers
import Tensors

/// The masks there are.
package enum MaskChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable { case none, stripe, channels, topRows }

  case none(NoOptions), stripe(StripeMask), channels(ChannelMask), topRows(TopRowsMask)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .stripe: self = .stripe(try read(StripeMask.self))
    case .channels: self = .channels(try read(ChannelMask.self))
    case .topRows: self = .topRows(try read(TopRowsMask.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .stripe(let options): (.stripe, options)
    case .channels(let options): (.channels, options)
    case .topRows(let options): (.topRows, options)
    }
  }

  /// nil where nothing is left out.
  var maskKind: MaskKind? {
    switch self {
    case .none: nil
    case .stripe(let options): .stripe(height: options.height)
    case .channels(let options): .channels(rate: options.rate)
    case .topRows(let options): .topRows(height: options.height)
    }
  }
}

/// A band of rows, the same for the whole batch (BatchDropBlock).
package struct StripeMask: Options {
  package var height = 0.33
  package init() {}
  package static var fields: [OptionField<Self>] {
    [.number("height", \.height, 0...0.9, "The share of a map's rows.")]
  }
}

/// Channels of an image, the others scaled up.
package struct ChannelMask: Options {
  package var rate = 0.5
  package init() {}
  package static var fields: [OptionField<Self>] {
    [.number("rate", \.rate, 0...0.99, "The probability of a channel.")]
  }
}

/// The strongest rows of an image (Top DropBlock).
package struct TopRowsMask: Options {
  package var height = 0.33
  package init() {}
  package static var fields: [OptionField<Self>] {
    [.number("height", \.height, 0...0.9, "The share of a map's rows.")]
  }
}
