import Layers
import Tensors

/// Lays out the parameters of a network as its layers are made; every linear map is known for packing.
package struct NetworkBuilder<E: Element> {
  package let architecture: Architecture
  package private(set) var parameters = ParameterLayout()
  package private(set) var statistics = ParameterLayout()
  package private(set) var maps: [(map: any LinearMap<E>, readsImages: Bool)] = []
  /// Those inside layers of E that compute in the accumulator.
  package private(set) var accumulatorMaps: [any LinearMap<E.Accumulator>] = []

  /// What filters of convolutions that are made now go through: those of the trunk, where `model.filters` says so.
  private var transform = FilterTransform.none
  private var isTrunk = false

  package init(_ architecture: Architecture) { self.architecture = architecture }

  /// What `make` makes is the trunk.
  package mutating func trunk<T>(_ make: (inout NetworkBuilder) -> T) -> T {
    (transform, isTrunk) = (architecture.filters.transform, true)
    defer { (transform, isTrunk) = (.none, false) }
    return make(&self)
  }

  /// What `make` makes, and the range of the layout that its parameters take: the layout is filled in the order of the
  /// forward pass, so that a backward pass completes it from its end.
  package mutating func recorded<T>(_ make: (inout NetworkBuilder) throws -> T) rethrows -> (T, Range<Int>) {
    let start = parameters.count
    let made = try make(&self)
    return (made, start..<parameters.count)
  }

  /// `readsImages`: nobody needs the gradient of what it reads, but for the gradient regularizer at the input.
  package mutating func convolution(
    _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, bias: Bool = false,
    readsImages: Bool = false, start: ParameterLayout.Start = .usual
  ) -> Convolution<E> {
    let layer = Convolution<E>(
      &parameters, name, inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: kernel / 2,
      bias: bias, transform: transform, start: start)
    maps.append((layer, readsImages))
    return layer
  }

  /// A depthwise 3×3 with stride 1.
  package mutating func depthwise(_ name: String, _ channels: Int) -> DepthwiseConvolution<E> {
    let layer = DepthwiseConvolution<E>(&parameters, name, channels: channels)
    maps.append((layer, false))
    return layer
  }

  /// The maps of a gate, which computes in the accumulator, are packed with the others.
  package mutating func pack(_ gate: (any ChannelGate<E.Accumulator>)?) { accumulatorMaps += gate?.maps ?? [] }

  /// A gate a pixel, or a pixel and channel.
  package mutating func pixelGate(_ name: String, _ channels: Int, perChannel: Bool) -> PixelGate<E> {
    PixelGate(convolution(name + ".conv", channels, perChannel ? channels : 1, bias: true))
  }

  /// Four channels to one.
  package mutating func narrowing(_ name: String, _ channels: Int) -> ChannelNarrowing<E> {
    let layer = ChannelNarrowing<E>(&parameters, name, channels: channels)
    maps.append((layer, false))
    return layer
  }

  /// A non-local block.
  package mutating func nonLocal(_ name: String, _ channels: Int, inner: Int) -> NonLocal<E> {
    let layer = NonLocal<E>(
      &parameters, &statistics, name, channels: channels, inner: inner,
      transform: transform)
    maps += layer.maps.map { ($0, false) }
    return layer
  }

  /// The first norm of a block, of stage 1…4.
  package mutating func firstNorm(_ name: String, _ channels: Int, stage: Int) -> any Normalization<E> {
    switch architecture.norm {
    case .batch, .bias: norm(name, channels)
    case .ibnA: stage < 4 ? mixedNorm(name, channels) : norm(name, channels)
    }
  }

  /// Batch norm; in the trunk a bias where `model.norm` says so.
  package mutating func norm(_ name: String, _ channels: Int) -> any Normalization<E> {
    isTrunk && architecture.norm == .bias
      ? ChannelBias(&parameters, name, channels: channels)
      : Norm(&parameters, &statistics, name, channels: channels)
  }

  /// Instance norm of the first half of the channels, batch norm of the others.
  package mutating func mixedNorm(_ name: String, _ channels: Int) -> Norm<E> {
    Norm(&parameters, &statistics, name, channels: channels, instanceChannels: channels / 2)
  }

  /// Instance norm.
  package mutating func instanceNorm(_ name: String, _ channels: Int) -> Norm<E> {
    Norm(&parameters, instance: name, channels: channels)
  }

  /// The layout for a layer that computes in the accumulator.
  package mutating func accumulating<T>(_ make: (inout ParameterLayout, inout ParameterLayout) -> T) -> T {
    make(&parameters, &statistics)
  }
}
