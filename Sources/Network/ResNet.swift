import Layers
import Tensors

/// ResNet-50's stem and four stages (strides 4, 8, 16, 32; 256, 512, 1024, 2048 channels at full width).
package final class ResNet<E: Element> {
  package let stem: NormalizedConvolution<E>
  /// 3, 4, 6 and 3 bottlenecks.
  package let stages: [[Bottleneck<E>]]

  init(_ builder: inout NetworkBuilder<E>) {
    let architecture = builder.architecture
    let stemChannels = architecture.channels(64)
    stem = NormalizedConvolution(
      convolution: builder.convolution("conv1", 3, stemChannels, kernel: 7, stride: 2),
      norm: builder.norm("bn1", stemChannels))
    var stages: [[Bottleneck<E>]] = []
    var inputs = stemChannels
    for (index, depth) in [3, 4, 6, 3].enumerated() {
      let inner = architecture.channels(64 << index)
      let stride = index == 0 ? 1 : index == 3 ? architecture.lastStride : 2
      var blocks: [Bottleneck<E>] = []
      for block in 0..<depth {
        blocks.append(
          builder.bottleneck(
            "layer\(index + 1).\(block)", inputs: inputs, inner: inner, stride: block == 0 ? stride : 1,
            downsample: block == 0))
        inputs = 4 * inner
      }
      stages.append(blocks)
    }
    self.stages = stages
  }

  /// A forward pass: the stages' outputs, and in training what the backward pass takes off it, last block first.
  package struct Saved {
    /// c₁ … c₄.
    package let outputs: [Tensor<E>]
    fileprivate var stem: NormalizedConvolution<E>.Saved?
    fileprivate var pool: MaxPool<E>.Saved?
    fileprivate var blocks: [[Bottleneck<E>.Saved]]

    /// The target for the gradient of c₄.
    package var topTarget: GradientTarget<E> { blocks[3].last!.target }
  }

  package func forward(
    _ x: Tensor<E>, _ parameters: Parameters<E.Accumulator>, _ updates: inout RunningUpdates, training: Bool,
    _ context: Context<E>
  ) throws -> Saved {
    let stemSaved = try stem.forward(.plain(x), parameters, &updates, training: training, context)
    let pool = MaxPool.forward(stemSaved.activation, context)
    var current = pool.y, outputs: [Tensor<E>] = [], saved: [[Bottleneck<E>.Saved]] = []
    for blocks in stages {
      saved.append([])
      for block in blocks {
        let one = try block.forward(current, parameters, &updates, training: training, context)
        if training { saved[saved.count - 1].append(one) }
        current = one.y
      }
      outputs.append(current)
    }
    return Saved(outputs: outputs, stem: training ? stemSaved : nil, pool: training ? pool : nil, blocks: saved)
  }

  /// `top`: the gradient of c₄, finished by `saved.topTarget`; `others`: contributions to the gradients of c₁ … c₃
  /// from elsewhere. Takes `saved` apart, so that its memory serves again.
  package func backward(
    _ saved: inout Saved, top: Gradient<E>, others: inout [Int: Tensor<E>], _ parameters: Parameters<E.Accumulator>,
    into gradients: ParameterGradients, _ context: Context<E>
  ) throws {
    var gradient = top
    let stemSaved = saved.stem!, pool = saved.pool!
    for stage in (0..<4).reversed() {
      while let block = saved.blocks[stage].popLast() {
        let index = saved.blocks[stage].count
        let below = saved.blocks[stage].last ?? (stage > 0 ? saved.blocks[stage - 1].last : nil)
        // Before the first block of a stage stands the output of the stage before, which the pyramid reads too.
        let addend = index == 0 ? others.removeValue(forKey: stage) : nil
        gradient = try stages[stage][index].backward(
          block, gradient, addend: addend, target: below?.target ?? .plain, parameters, into: gradients, context)
      }
    }
    (saved.stem, saved.pool) = (nil, nil)
    let activation = MaxPool.backward(pool, gradient.tensor, stemSaved.z.shape, stemSaved.target, context)
    _ = try stem.backward(stemSaved, activation.tensor, sums: activation.sums, parameters, into: gradients, context)
  }
}
