import Foundation

/// Images × height × width × channels; a matrix is rows × 1 × 1 × columns.
package struct Shape: Equatable, Hashable, Sendable, CustomStringConvertible {
  package var images: Int, height: Int, width: Int, channels: Int

  package init(_ images: Int, _ height: Int, _ width: Int, _ channels: Int) {
    (self.images, self.height, self.width, self.channels) = (images, height, width, channels)
  }

  /// Pixels of one image.
  package var area: Int { height * width }
  /// Pixels of all images.
  package var pixels: Int { images * area }
  package var count: Int { pixels * channels }
  package var description: String { "\(images)×\(height)×\(width)×\(channels)" }

  package func with(channels: Int) -> Shape { Shape(images, height, width, channels) }
}

/// A shape and its values, NHWC, dense. A copy is a second reference to the same values.
package struct Tensor<Scalar: Element> {
  package let shape: Shape
  private let block: Arena.Block

  /// A tensor with undefined contents.
  package init(_ shape: Shape, in arena: Arena) {
    self.shape = shape
    block = arena.block(bytes: shape.count * MemoryLayout<Scalar>.stride)
  }

  /// The values; valid while the tensor is referenced.
  package var pointer: UnsafeMutablePointer<Scalar> { block.pointer.assumingMemoryBound(to: Scalar.self) }

  package var bytes: Int { shape.count * MemoryLayout<Scalar>.stride }

  /// A copy of the values, for losses, probes and tests.
  package var array: [Scalar] { Array(UnsafeBufferPointer(start: pointer, count: shape.count)) }

  package func zero() { memset(pointer, 0, shape.count * MemoryLayout<Scalar>.stride) }

  package func fill(_ values: [Scalar]) {
    precondition(values.count == shape.count)
    values.withUnsafeBufferPointer { if let start = $0.baseAddress { pointer.update(from: start, count: $0.count) } }
  }
}
