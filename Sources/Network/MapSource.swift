import Layers
import Tensors

/// A map of the network that a head can read.
package enum MapSource: String, CaseIterable, Codable, Sendable {
  /// c_s, the output of stage s of the trunk.
  case stage1, stage2, stage3, stage4
  /// f_s, level s of the pyramid.
  case level1, level2, level3, level4
  /// The output of `model.branch`.
  case branch

  package static func stage(_ number: Int) -> MapSource { allCases[number - 1] }
  package static func level(_ number: Int) -> MapSource { allCases[number + 3] }

  /// s; of the branch the last.
  package var number: Int {
    self == .branch ? 4 : (after("the cases", Self.allCases.firstIndex(of: self))) % 4 + 1
  }
  package var isLevel: Bool { rawValue.hasPrefix("level") }
}

/// Of each map that heads can read: the map itself, or what belongs to it.
struct Maps<Value> {
  /// Of c₁, c₂, ….
  let stages: [Value]
  /// Of f_s, by s.
  let levels: [Int: Value]
  var branch: Value?

  init(stages: [Value], levels: [Int: Value]?) { (self.stages, self.levels) = (stages, levels ?? [:]) }

  func callAsFunction(_ source: MapSource) -> Value {
    if source == .branch { return after("the branch's", branch) }
    return source.isLevel ? after("the pyramid's", levels[source.number]) : stages[source.number - 1]
  }
}

/// What reads a map beside the network's body, in a backward pass: from what else contributes to the gradient of the map,
/// and its target, to the gradient with the readers' part. nil where nobody reads the map.
package typealias MapReaders<E: Element> = (
  _ source: MapSource, _ addend: Tensor<E>?, _ target: GradientTarget<E>
) throws -> Gradient<E>?
