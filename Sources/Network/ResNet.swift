import Layers
import Tensors

/// ResNet (He et al., 2016) as torchvision has it, with its tensor names: a stem and four stages of strides 4, 8, 16, 32.
///
/// | | blocks | channels of the stages at full width |
/// |---|---|---|
/// | 18, 34 | two 3×3 each: 2, 2, 2, 2 or 3, 4, 6, 3 | 64, 128, 256, 512 |
/// | 50, 101 | bottlenecks: 3, 4, 6, 3 or 3, 4, 23, 3 | 256, 512, 1024, 2048 |
enum ResNet<E: Element> {
  /// `depths`: blocks a stage; `isDeep`: they are bottlenecks.
  static func trunk(_ builder: inout NetworkBuilder<E>, _ depths: [Int], isDeep: Bool) -> Trunk<E> {
    let architecture = builder.architecture
    let stemChannels = architecture.channels(64)
    let (unit, range) = builder.recorded { builder in
      NormalizedConvolution(
        builder.convolution("conv1", 3, stemChannels, kernel: 7, stride: 2, readsImages: true),
        builder.norm("bn1", stemChannels))
    }
    var stages: [[Trunk<E>.Recorded]] = [], channels: [Int] = []
    var inputs = stemChannels
    for (index, depth) in depths.enumerated() {
      let inner = architecture.channels(64 << index), outputs = isDeep ? 4 * inner : inner
      let stride = index == 0 ? 1 : index == 3 ? architecture.lastStride : 2
      stages.append(
        (0..<depth).flatMap { block in
          let name = "layer\(index + 1).\(block)", stride = block == 0 ? stride : 1
          // As in torchvision, the first stage of a shallow one has no convolution in its shortcut.
          let downsample = block == 0 && (isDeep || index > 0)
          let (layer, range) = builder.recorded { builder in
            isDeep
              ? builder.bottleneck(
                name, inputs: inputs, inner: inner, stride: stride, downsample: downsample,
                stage: index + 1)
              : builder.basicBlock(
                name, inputs: inputs, outputs: outputs, stride: stride, downsample: downsample,
                stage: index + 1)
          }
          inputs = outputs
          let (behind, behindRange) = builder.recorded {
            $0.blockLayer(stage: index + 1, block: block, of: depth, outputs)
          }
          return [Trunk<E>.Recorded(name: name, layer: layer, range: range)]
            + (behind.map { [.init(name: name + " non-local", layer: $0, range: behindRange)] } ?? [])
        })
      channels.append(outputs)
      let (layer, range) = builder.recorded { $0.stageLayer("layer\(index + 1)", stage: index + 1, outputs) }
      if let layer { stages[index].append(.init(name: "layer\(index + 1).gate", layer: layer, range: range)) }
    }
    return Trunk(
      stem: .init(name: "stem", layer: PooledStem(unit, architecture.maxPool), range: range), stages: stages,
      channels: channels)
  }
}

/// A unit, then 3×3 max pooling with stride 2.
package final class PooledStem<E: Element>: Layer {
  private let unit: NormalizedConvolution<E>, border: PoolBorder

  package init(_ unit: NormalizedConvolution<E>, _ border: PoolBorder = .padded) {
    (self.unit, self.border) = (unit, border)
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    MaxPool<E>.express(unit.express(x, in: graph), border, in: graph)
  }

  package func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let unit = try run.row("conv1 + bn1", { $0.y.shape }) { try self.unit.pass(x, run) }
    return PooledStemPasses(
      unit, run.row("maxpool", { $0.y.shape }) { MaxPool.forward(unit.y.value, border, run.context) })
  }
}

private final class PooledStemPasses<E: Element>: Passes {
  private let unit: UnitPasses<E>, pool: MaxPool<E>.Saved

  init(_ unit: UnitPasses<E>, _ pool: MaxPool<E>.Saved) { (self.unit, self.pool) = (unit, pool) }

  var y: Feature<E> { .plain(pool.y) }

  func forwardTangent(_ xDot: Operand<E>, adding v: Tensor<E>?, _ run: Run<E>) throws -> Operand<E> {
    let activation = try unit.forwardTangent(xDot, run)
    return .plain(MaxPool.forwardTangent(pool, activation, run.context)).adding(v, run.context)
  }

  func backward(
    _ yBar: Gradient<E>, adding addend: Tensor<E>?, target: GradientTarget<E>, _ pass: BackwardPass, _ run: Run<E>
  ) throws -> Gradient<E> {
    try unit.backward(unpooled(yBar, run), adding: addend, target: target, pass, run)
  }

  func backwardToParameters(_ yBar: Gradient<E>, _ pass: BackwardPass, _ run: Run<E>) throws {
    try unit.backwardToParameters(unpooled(yBar, run), pass, run)
  }

  private func unpooled(_ yBar: Gradient<E>, _ run: Run<E>) -> Gradient<E> {
    MaxPool.backward(pool, yBar.tensor, unit.normalized.z.shape, unit.y.target, run.context)
  }

  var storedTangents: [Tensor<E>] { unit.storedTangents }
}
