import Layers
import Tensors

/// Lays out the parameters of a network as its layers are made; every convolution is known for packing.
struct NetworkBuilder<E: Element> {
  let architecture: Architecture
  var parameters = ParameterLayout()
  var statistics = ParameterLayout()
  private(set) var convolutions: [Convolution<E>] = []

  init(_ architecture: Architecture) { self.architecture = architecture }

  mutating func convolution(
    _ name: String, _ inputs: Int, _ outputs: Int, kernel: Int = 1, stride: Int = 1, bias: Bool = false
  ) -> Convolution<E> {
    let layer = Convolution<E>(
      &parameters, name, inputs: inputs, outputs: outputs, kernel: kernel, stride: stride, padding: kernel / 2,
      bias: bias)
    convolutions.append(layer)
    return layer
  }

  mutating func norm(_ name: String, _ channels: Int) -> BatchNorm<E> {
    BatchNorm(&parameters, &statistics, name, channels: channels)
  }

  /// A bottleneck by torchvision's names below `name`: conv1, bn1, …, downsample.0, downsample.1.
  mutating func bottleneck(_ name: String, inputs: Int, inner: Int, stride: Int, downsample: Bool) -> Bottleneck<E> {
    let outputs = 4 * inner
    let first = NormalizedConvolution(
      convolution: convolution(name + ".conv1", inputs, inner), norm: norm(name + ".bn1", inner))
    let second = NormalizedConvolution(
      convolution: convolution(name + ".conv2", inner, inner, kernel: 3, stride: stride),
      norm: norm(name + ".bn2", inner))
    let third = NormalizedConvolution(
      convolution: convolution(name + ".conv3", inner, outputs), norm: norm(name + ".bn3", outputs))
    let side =
      downsample
      ? NormalizedConvolution(
        convolution: convolution(name + ".downsample.0", inputs, outputs, stride: stride),
        norm: norm(name + ".downsample.1", outputs))
      : nil
    return Bottleneck(first: first, second: second, third: third, downsample: side)
  }
}
