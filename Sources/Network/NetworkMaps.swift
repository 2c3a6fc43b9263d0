import Layers
import Tensors

/// A map of the network to look at, of every image of a batch.
package struct NamedMap<A: Element> {
  /// As the paper has it: c₁ … the outputs of the trunk's stages, p₁ … the levels of the pyramid, f₁ … what its bottlenecks
  /// make of them, where they make something; `branch`.
  package let name: String
  /// n × h × w × channels.
  package let values: Tensor<A>
}

extension ReIDNetwork {
  /// Evaluation: running statistics; the maps between the images (n × height × width × 3, normalized) and the heads, c₁ … first,
  /// then p₁ …, f₁ … and the branch's, as far as the architecture has them. After `pack`.
  package func maps(_ images: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ context: Context<E>) throws
    -> [NamedMap<E.Accumulator>]
  {
    let run = Run(context, parameters, .evaluation), stages = try trunk.forward(images, run).outputs
    func named(_ name: String, _ value: Operand<E>) -> NamedMap<E.Accumulator> {
      NamedMap(name: name, values: value.materialized(context))
    }
    var levels: [Int: Tensor<E>] = [:]
    let fused = try pyramid?.forward(stages, run) { levels[$0] = $1 }.maps ?? [:]
    let branch = try branch?.forward(Maps(stages: stages, levels: fused).callAsFunction, run)
    return stages.enumerated().map { named("c\($0 + 1)", $1.value) }
      + levels.sorted { $0.key < $1.key }.map { named("p\($0)", .plain($1)) }
      + fused.sorted { $0.key < $1.key }.filter { pyramid?.fusion[$0.key]?.isEmpty == false }
      .map { named("f\($0)", $1.value) }
      + (branch.map { [named("branch", $0.y.value)] } ?? [])
  }
}
