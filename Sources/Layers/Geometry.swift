import Tensors

/// What a convolution does to shapes (a linear layer is a 1×1 one on 1×1 pixels).
package struct Geometry: Codable, Hashable, Sendable {
  /// Channels.
  package let inputs: Int, outputs: Int
  package let kernel: Int, stride: Int, padding: Int
  /// Parts that the channels are divided into, each convolved by itself.
  package let groups: Int

  package init(inputs: Int, outputs: Int, kernel: Int = 1, stride: Int = 1, padding: Int = 0, groups: Int = 1) {
    (self.inputs, self.outputs, self.kernel, self.stride, self.padding) = (inputs, outputs, kernel, stride, padding)
    self.groups = groups
  }

  /// The shape of the outputs for inputs of this shape.
  package func outputShape(_ input: Shape) -> Shape {
    Shape(
      input.images, (input.height + 2 * padding - kernel) / stride + 1,
      (input.width + 2 * padding - kernel) / stride + 1,
      outputs)
  }

  /// What an output pixel sees.
  var window: Window { Window(rows: kernel, columns: kernel, stride: stride, top: -padding, left: -padding) }

  /// Multiply-adds of one forward pass.
  package func multiplyAdds(_ input: Shape) -> Int {
    outputShape(input).pixels * outputs * (inputs / groups) * kernel * kernel
  }
}
