import Layers
import Tensors

/// ResNet-50's stem and four stages (strides 4, 8, 16, 32; 256, 512, 1024, 2048 channels at full width).
package enum ResNet<E: Element> {
  static func trunk(_ builder: inout NetworkBuilder<E>) -> Trunk<E> {
    let architecture = builder.architecture
    let stemChannels = architecture.channels(64)
    let (unit, range) = builder.recorded { builder in
      NormalizedConvolution(
        builder.convolution("conv1", 3, stemChannels, kernel: 7, stride: 2, readsImages: true),
        builder.norm("bn1", stemChannels))
    }
    var stages: [[Trunk<E>.Recorded]] = [], channels: [Int] = []
    var inputs = stemChannels
    for (index, depth) in [3, 4, 6, 3].enumerated() {
      let inner = architecture.channels(64 << index)
      let stride = index == 0 ? 1 : index == 3 ? architecture.lastStride : 2
      stages.append(
        (0..<depth).map { block in
          let name = "layer\(index + 1).\(block)"
          let (layer, range) = builder.recorded { builder in
            builder.bottleneck(
              name, inputs: inputs, inner: inner, stride: block == 0 ? stride : 1, downsample: block == 0)
          }
          inputs = 4 * inner
          return .init(name: name, layer: layer, range: range)
        })
      channels.append(inputs)
    }
    return Trunk(stem: .init(name: "stem", layer: PooledStem(unit), range: range), stages: stages, channels: channels)
  }
}

/// A unit, then 3×3 max pooling with stride 2.
final class PooledStem<E: Element>: Layer {
  private let unit: NormalizedConvolution<E>

  init(_ unit: NormalizedConvolution<E>) { self.unit = unit }

  func forward(_ x: Feature<E>, _ run: Run<E>) throws -> any Passes<E> {
    let unit = try run.row("conv1 + bn1", { $0.y.shape }) { try self.unit.pass(x, run) }
    return PooledStemPasses(unit, run.row("maxpool", { $0.y.shape }) { MaxPool.forward(unit.y.value, run.context) })
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
