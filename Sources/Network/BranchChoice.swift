import Layers
import Tensors

/// What stands beside the network's body, for heads to read.
package enum BranchChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case none, bottlenecks, groie

    package var meaning: String {
      switch self {
      case .none: "nothing"
      case .bottlenecks: "bottlenecks on the last stage that keep its channels, as in Top-DB-Net"
      case .groie: "the sum of all levels of the pyramid at the size of the last one, as in GRoIE"
      }
    }
  }

  case none(NoOptions), bottlenecks(BottleneckBranch), groie(LevelSumOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .none: self = .none(try read(NoOptions.self))
    case .bottlenecks: self = .bottlenecks(try read(BottleneckBranch.self))
    case .groie: self = .groie(try read(LevelSumOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .none(let options): (.none, options)
    case .bottlenecks(let options): (.bottlenecks, options)
    case .groie(let options): (.groie, options)
    }
  }
}

extension BranchChoice {
  /// Whether it is on this map.
  package func reads(_ source: MapSource) -> Bool {
    switch self {
    case .none: false
    case .bottlenecks: source == .stage(4)
    case .groie: source.isLevel
    }
  }
}

/// Bottlenecks one after the other.
package struct BottleneckBranch: Options {
  package var count = 2

  package init() {}
  package static var fields: [OptionField<Self>] { [.integer("count", \.count, 1...16, "How many.")] }
}

/// Layers beside the body, on maps of it, that heads read the end of (`MapSource.branch`).
protocol Branch<E>: AnyObject {
  associatedtype E: Element
  /// The parameters' range of the layout.
  var range: Range<Int> { get }
  var channels: Int { get }
  func forward(_ map: (MapSource) -> Feature<E>, _ run: Run<E>) throws -> any BranchPasses<E>
  func express(_ map: (MapSource) -> InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value
}

/// What follows the forward pass of a branch.
protocol BranchPasses<E>: AnyObject {
  associatedtype E: Element
  var y: Feature<E> { get }

  /// ẏ from the tangents of the maps, nil from none.
  func forwardTangent(_ map: (MapSource) -> Operand<E>?, _ run: Run<E>) throws -> Operand<E>?

  /// From the gradient of y, finished by `y.target`; before any `gradient`.
  func backward(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws

  /// What the branch contributes to the gradient of a map, once a pass; nil where it does not read it.
  func gradient(_ source: MapSource, _ pass: BackwardPass, _ run: Run<E>) throws -> Tensor<E>?

  var storedTangents: [Tensor<E>] { get }
}

extension NetworkBuilder {
  /// nil where there is none.
  mutating func branch(_ trunk: Trunk<E>, _ pyramid: Pyramid<E>?) -> (any Branch<E>)? {
    switch architecture.branch {
    case .none: nil
    case .bottlenecks(let options): StageBranch(&self, inputs: trunk.channels[trunk.channels.count - 1], options)
    // Where there is no pyramid the configuration has been refused.
    case .groie(let options): pyramid.map { LevelSum(&self, $0, options) }
    }
  }
}

/// Bottlenecks on the last stage.
private final class StageBranch<E: Element>: Branch {
  let range: Range<Int>
  let channels: Int
  private let layers: Sequential<E>

  /// Tensors `branch.<i>.*`, as a bottleneck's.
  init(_ builder: inout NetworkBuilder<E>, inputs: Int, _ options: BottleneckBranch) {
    let inner = max(1, inputs / 4)
    channels = 4 * inner
    (layers, range) = builder.recorded { builder in
      Sequential(
        (0..<options.count).map { index in
          let width = index == 0 ? inputs : 4 * inner
          return builder.bottleneck(
            "branch.\(index)", inputs: width, inner: inner, stride: 1, downsample: width != 4 * inner, stage: 4)
        })
    }
  }

  func express(_ map: (MapSource) -> InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    layers.express(map(.stage(4)), in: graph)
  }

  func forward(_ map: (MapSource) -> Feature<E>, _ run: Run<E>) throws -> any BranchPasses<E> {
    let layers = try run.row("branch", { $0.y.shape }) { try self.layers.forward(map(.stage(4)), run) }
    return StageBranchPasses(layers)
  }
}

private final class StageBranchPasses<E: Element>: BranchPasses {
  private let layers: any Passes<E>
  private var yBar: Gradient<E>?

  init(_ layers: any Passes<E>) { self.layers = layers }

  var y: Feature<E> { layers.y }

  func forwardTangent(_ map: (MapSource) -> Operand<E>?, _ run: Run<E>) throws -> Operand<E>? {
    try map(.stage(4)).map { try layers.forwardTangent($0, adding: nil, run) }
  }

  func backward(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) { self.yBar = yBar }

  func gradient(_ source: MapSource, _ pass: BackwardPass, _ run: Run<E>) throws -> Tensor<E>? {
    guard source == .stage(4) else { return nil }
    let end = after("the branch's backward pass", yBar)
    return try layers.backward(end, adding: nil, target: .plain, pass, run).tensor
  }

  var storedTangents: [Tensor<E>] { layers.storedTangents }
}
