import Layers
import Tensors

/// All levels of the pyramid as one map, as GRoIE has it (Rossi et al., "A novel Region of Interest Extraction Layer", ICPR 2020),
/// with the whole image for a region:
///
///     z = Σ_s max(0, n_s(W_s∗means(f_s))),  y = attention(z) or z
///
/// `means` are those over the cells of a grid that has the pixels of the last level; W_s is 5×5 (the authors' has no norm behind it);
/// the attention is a non-local block.
///
/// f_s: n×h_s×w_s×C, y: n×h×w×C of the last level. Precision: the layers'. Collectives: those of the norms.
final class LevelSum<E: Element>: Branch {
  let range: Range<Int>
  let channels: Int
  fileprivate let levels: [(source: MapSource, unit: NormalizedConvolution<E>)]
  fileprivate let attention: (any Layer<E>)?

  /// Tensors `branch.levels.<s>.{0,1}` and `branch.attention`.
  init(_ builder: inout NetworkBuilder<E>, _ pyramid: Pyramid<E>, _ options: LevelSumOptions) {
    channels = pyramid.channels
    ((levels, attention), range) = builder.recorded { builder in
      let levels = pyramid.stages.map { stage in
        (
          MapSource.level(stage),
          builder.unit("branch.levels.\(stage)", pyramid.channels, pyramid.channels, kernel: options.kernel)
        )
      }
      let inner = max(1, pyramid.channels / 2)
      return (
        levels, options.attention ? builder.nonLocal("branch.attention", pyramid.channels, inner: inner) : nil
      )
    }
  }

  func express(_ map: (MapSource) -> InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let last = map(levels[levels.count - 1].source)
    let grid = GridAverage<E>(rows: last.height, columns: last.width)
    let parts = levels.map { $0.unit.express(grid.express(map($0.source), in: graph), in: graph) }
    let z = parts.dropFirst().reduce(parts[0]) { graph.sum($0, $1) }
    return attention?.express(z, in: graph) ?? z
  }

  func forward(_ map: (MapSource) -> Feature<E>, _ run: Run<E>) throws -> any BranchPasses<E> {
    try LevelSumPasses(self, map, run)
  }
}

private final class LevelSumPasses<E: Element>: BranchPasses {
  let y: Feature<E>
  private var levels: [(source: MapSource, means: any Passes<E>, unit: any Passes<E>)] = []
  private let attention: (any Passes<E>)?
  private var zBar: Tensor<E>?
  private var zDot: Tensor<E>?

  init(_ sum: LevelSum<E>, _ map: (MapSource) -> Feature<E>, _ run: Run<E>) throws {
    let last = map(sum.levels[sum.levels.count - 1].source).shape
    let grid = GridAverage<E>(rows: last.height, columns: last.width)
    var z: Tensor<E>?
    for (source, unit) in sum.levels {
      let means = try grid.forward(map(source), run)
      let passes = try run.row("branch.\(source.rawValue)", { $0.y.shape }) { try unit.forward(means.y, run) }
      levels.append((source, means, passes))
      z = Addition.forward(passes.y.value, z, run.context)
    }
    let whole = Feature.plain(after("one level", z))
    attention = try sum.attention.map { attention in
      try run.row("branch.attention", { $0.y.shape }) { try attention.forward(whole, run) }
    }
    y = attention?.y ?? whole
  }

  func forwardTangent(_ map: (MapSource) -> Operand<E>?, _ run: Run<E>) throws -> Operand<E>? {
    var sum: Tensor<E>?
    for (source, means, unit) in levels {
      guard let dot = map(source) else { continue }
      let moved = try unit.forwardTangent(try means.forwardTangent(dot, adding: nil, run), adding: nil, run)
      sum = Addition.forward(moved, sum, run.context)
    }
    zDot = sum
    guard let sum else { return nil }
    return try attention?.forwardTangent(.plain(sum), adding: nil, run) ?? .plain(sum)
  }

  func backward(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws {
    zBar = try attention?.backward(yBar, adding: nil, target: .plain, pass, run).tensor ?? yBar.tensor
  }

  func gradient(_ source: MapSource, _ pass: BackwardPass, _ run: Run<E>) throws -> Tensor<E>? {
    guard let (_, means, unit) = levels.first(where: { $0.source == source }) else { return nil }
    let end = unit.y.target.finish(after("the branch's backward pass", zBar), run.context)
    let gradient = try unit.backward(end, adding: nil, target: means.y.target, pass, run)
    return try means.backward(gradient, adding: nil, target: .plain, pass, run).tensor
  }

  var storedTangents: [Tensor<E>] {
    levels.flatMap { $0.means.storedTangents + $0.unit.storedTangents } + (attention?.storedTangents ?? [])
      + [zDot].compactMap { $0 }
  }
}

/// Of `LevelSum`.
package struct LevelSumOptions: Options {
  package var kernel = 5
  package var attention = true

  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .value("kernel", \.kernel, type: "integer", "odd, from 1 to 15", "Of each level's convolution.") {
        (1...15).contains($0) && $0 % 2 == 1
      },
      .flag("attention", \.attention, "Whether a non-local block comes behind the sum."),
    ]
  }
}
