import Layers
import Tensors

/// OSNet (Zhou et al., "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019) and OSNet-AIN ("Learning
/// Generalisable Omni-Scale Representations for Person Re-Identification", 2021), with torchreid's tensor names.
///
/// | stage | layers (torchreid's names; those of AIN where they differ) | stride | channels at full width |
/// |---|---|---|---|
/// | stem | conv1, 7×7 with stride 2, and 3×3 max pooling | 4 | 64 |
/// | 1 | conv2: two omni-scale blocks | 4 | 256 |
/// | 2 | conv2.2 (pool2): a 1×1 unit and 2×2 average pooling; conv3: two blocks | 8 | 384 |
/// | 3 | conv3.2 (pool3): the same; conv4: two blocks | 16 | 512 |
/// | 4 | conv5: a 1×1 unit | 16 | 512 |
///
/// The transitions belong to the stage that they lead into, as ResNet's strides do: the output of a stage has gone through all
/// that has its resolution. OSNet-AIN is `osnet_ain_x1_0` as published: instance norm in place of the stem's batch norm, and
/// of that after the last convolution (before the join) of both blocks of stage 1, the second of stage 2 and the first of
/// stage 3.
enum OSNet<E: Element> {
  static func trunk(_ builder: inout NetworkBuilder<E>, instanceNorms: Bool) -> Trunk<E> {
    let channels = [64, 256, 384, 512].map(builder.architecture.channels)
    /// Which blocks, of stages 1 to 3, have instance norm.
    let instances = [[true, true], [false, true], [true, false]].map { $0.map { $0 && instanceNorms } }
    let (stem, range) = builder.recorded { builder in
      let convolution = builder.convolution("conv1.conv", 3, channels[0], kernel: 7, stride: 2, readsImages: true)
      return PooledStem(
        NormalizedConvolution(
          convolution,
          instanceNorms ? builder.instanceNorm("conv1.bn", channels[0]) : builder.norm("conv1.bn", channels[0])),
        builder.architecture.maxPool)
    }
    var stages: [[Trunk<E>.Recorded]] = []
    for stage in 1...3 {
      var layers: [Trunk<E>.Recorded] = []
      func add(_ name: String, _ make: (inout NetworkBuilder<E>) -> (any Layer<E>)?) {
        let (layer, range) = builder.recorded(make)
        if let layer { layers.append(.init(name: name, layer: layer, range: range)) }
      }
      let name = "conv\(stage + 1)"
      if stage > 1 {
        let transition = instanceNorms ? "pool\(stage).0" : "conv\(stage).2.0"
        add(transition) { AveragedUnit($0.unit(transition, channels[stage - 1])) }
      }
      for (block, hasInstanceNorm) in instances[stage - 1].enumerated() {
        add("\(name).\(block)") {
          $0.omniScaleBlock(
            "\(name).\(block)", inputs: channels[block == 0 ? stage - 1 : stage], outputs: channels[stage],
            hasInstanceNorm: hasInstanceNorm
          ) { stream, layer in
            // torchreid names the streams of one network by letters, of the other by numbers.
            guard !instanceNorms else { return "conv2.\(stream).layers.\(layer)" }
            return "conv2" + ["a", "b", "c", "d"][stream] + (stream == 0 ? "" : ".\(layer)")
          }
        }
      }
      add("\(name).gate") { $0.stageLayer(name, stage: stage, channels[stage]) }
      stages.append(layers)
    }
    let (unit, unitRange) = builder.recorded { StoredUnit($0.unit("conv5", channels[3])) }
    let (gate, gateRange) = builder.recorded { $0.stageLayer("conv5", stage: 4, channels[3]) }
    stages.append([.init(name: "conv5", layer: unit, range: unitRange)])
    if let gate { stages[3].append(.init(name: "conv5.gate", layer: gate, range: gateRange)) }
    return Trunk(
      stem: .init(name: "stem", layer: stem, range: range), stages: stages,
      channels: Array(channels[1...]) + [channels[3]])
  }
}

extension NetworkBuilder {
  /// A 1×1 convolution with batch norm and ReLU that keeps the channels: `<name>.conv`, `<name>.bn`.
  fileprivate mutating func unit(_ name: String, _ channels: Int) -> NormalizedConvolution<E> {
    NormalizedConvolution(convolution(name + ".conv", channels, channels), norm(name + ".bn", channels))
  }

  /// OSNet's block: a 1×1 unit to a quarter of the outputs, the streams with their gate, and a 1×1 unit to the outputs, joined
  /// with a shortcut; names below `name`: conv1, those of the streams by `path`, gate.fc1, gate.fc2, conv3, downsample, IN. A
  /// gate of channels that `model.attention` asks for comes before the join.
  fileprivate mutating func omniScaleBlock(
    _ name: String, inputs: Int, outputs: Int, hasInstanceNorm: Bool, _ path: (_ stream: Int, _ layer: Int) -> String
  ) -> ResidualBlock<E> {
    let inner = max(1, outputs / 4)
    let first = NormalizedConvolution(convolution(name + ".conv1.conv", inputs, inner), norm(name + ".conv1.bn", inner))
    let streams = (0..<4).map { stream in
      (0...stream).map { lightConvolution(name + "." + path(stream, $0), inner) }
    }
    let gate = accumulating { layout, _ in
      SqueezeExcitation<E.Accumulator>(
        &layout, reduce: name + ".gate.fc1", expand: name + ".gate.fc2", channels: inner, hidden: max(1, inner / 16))
    }
    pack(gate)
    let expand = convolution(name + ".conv3.conv", inner, outputs)
    let last = hasInstanceNorm ? instanceNorm(name + ".IN", outputs) : norm(name + ".conv3.bn", outputs)
    let attention = channelGate(name, outputs)
    let downsample =
      inputs == outputs
      ? nil
      : NormalizedConvolution(
        convolution(name + ".downsample.conv", inputs, outputs), norm(name + ".downsample.bn", outputs),
        isActivated: false)
    return ResidualBlock(
      first, [OmniScaleStreams(streams, UnifiedGate(gate))],
      NormalizedConvolution(expand, last, isActivated: false, gate: attention), downsample: downsample)
  }

  private mutating func lightConvolution(_ name: String, _ channels: Int) -> LightConvolution<E> {
    LightConvolution(
      convolution(name + ".conv1", channels, channels),
      NormalizedConvolution(depthwise(name + ".conv2", channels), norm(name + ".bn", channels)))
  }
}
