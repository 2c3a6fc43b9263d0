import Layers
import Tensors

/// What stands on the last stage beside it, for heads to read.
package enum BranchChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, bottlenecks

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .bottlenecks: "bottlenecks that keep its channels, as in Top-DB-Net"
      }
    }
  }

  case none(NoOptions), bottlenecks(BottleneckBranch)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .bottlenecks: self = .bottlenecks(try read(BottleneckBranch.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .bottlenecks(let options): (.bottlenecks, options)
    }
  }
}

/// Bottlenecks one after the other.
package struct BottleneckBranch: Options {
  package var count = 2

  package init() {}
  package static var fields: [OptionField<Self>] { [.integer("count", \.count, 1...16, "How many.")] }
}

/// Layers on the last stage that heads read the end of (`MapSource.branch`).
struct Branch<E: Element> {
  let layer: any Layer<E>
  let range: Range<Int>
  let channels: Int

  /// nil where there is none. Tensors `branch.<i>.*`, as a bottleneck's.
  init?(_ builder: inout NetworkBuilder<E>, inputs: Int) {
    guard case .bottlenecks(let options) = builder.architecture.branch else { return nil }
    let inner = max(1, inputs / 4)
    channels = 4 * inner
    (layer, range) = builder.recorded { builder in
      Sequential(
        (0..<options.count).map { index in
          let width = index == 0 ? inputs : 4 * inner
          return builder.bottleneck(
            "branch.\(index)", inputs: width, inner: inner, stride: 1, downsample: width != 4 * inner, stage: 4)
        })
    }
  }
}
