import CKernels
import Tensors

/// Pixels to rows of accumulators, and back.
extension Kernels {
  /// The operand at `count` pixels of `image` from `pixel` (of all images) on.
  package func read(
    _ operand: OperandView<E>, image: Int, pixel: Int, _ count: Int, channels: Int, into rows: UnsafeMutablePointer<A>
  ) {
    operand.pointers.withImage(image) { elementwise.pointee.read($0, pixel, count, channels, rows) }
  }

  /// Finishes rows of accumulators, `ld` apart (0: one row for all), of pixels of one image: to[r] is the pixel that row r
  /// goes to, from[r] that of the addend. `sums`: 3 × channels that are added to.
  package func store(
    _ epilogue: EpilogueView<E>, image: Int, _ rows: UnsafePointer<A>, ld: Int, to: UnsafePointer<UInt32>,
    from: UnsafePointer<UInt32>, _ count: Int, channels: Int, sums: UnsafeMutablePointer<A>
  ) {
    epilogue.pointers.withImage(image) { elementwise.pointee.store($0, rows, ld, to, from, count, channels, sums) }
  }

  /// y = max(0, scale·z + shift + x)
  package func join(
    _ z: UnsafePointer<E>, scale: UnsafePointer<A>, shift: UnsafePointer<A>, _ x: UnsafePointer<E>, _ count: Int,
    channels: Int, into y: UnsafeMutablePointer<E>
  ) {
    elementwise.pointee.join(z, scale, shift, x, nil, nil, count, channels, y)
  }

  /// y = max(0, scale·z + shift + scale₂·z₂ + shift₂)
  package func join(
    _ z: UnsafePointer<E>, scale: UnsafePointer<A>, shift: UnsafePointer<A>, _ z2: UnsafePointer<E>,
    scale2: UnsafePointer<A>, shift2: UnsafePointer<A>, _ count: Int, channels: Int, into y: UnsafeMutablePointer<E>
  ) {
    elementwise.pointee.join(z, scale, shift, z2, scale2, shift2, count, channels, y)
  }

  /// The tangent of a join at `count` pixels of `image` from `pixel` on: z + shortcut where y > 0, else 0; plus v. All
  /// pointers are to the first pixel of all.
  package func joinTangent(
    y: UnsafePointer<E>, _ z: OperandView<E>, _ shortcut: OperandView<E>, adding v: UnsafePointer<E>?, image: Int,
    pixel: Int, _ count: Int, channels: Int, into out: UnsafeMutablePointer<E>
  ) {
    z.pointers.withImage(image) { z in
      shortcut.pointers.withImage(image) { shortcut in
        elementwise.pointee.join_tangent(y, z, shortcut, v, pixel, count, channels, out)
      }
    }
  }

  /// sums (a number a channel) += x at `count` pixels from `pixel` on.
  package func sum(
    _ x: UnsafePointer<E>, pixel: Int, _ count: Int, channels: Int, into sums: UnsafeMutablePointer<Double>
  ) {
    elementwise.pointee.sum_pixels(x, nil, pixel, count, channels, sums)
  }

  /// sums (a number a channel) += x at these pixels.
  package func sum(
    _ x: UnsafePointer<E>, pixels: [UInt32], channels: Int, into sums: UnsafeMutablePointer<Double>
  ) {
    elementwise.pointee.sum_pixels(x, pixels, 0, pixels.count, channels, sums)
  }

  /// out = factor·x, or with `accumulates` out += factor·x: rows of accumulators, a factor a channel.
  package func weigh(
    _ x: UnsafePointer<A>, by factors: UnsafePointer<A>, _ count: Int, channels: Int, accumulates: Bool,
    into out: UnsafeMutablePointer<A>
  ) {
    elementwise.pointee.weigh(x, factors, count, channels, accumulates ? 1 : 0, out)
  }

  /// sums (a number a channel) += Σ x·y, or with y nil Σ x, over rows of accumulators, themselves summed in the accumulator.
  package func sumProducts(
    _ x: UnsafePointer<A>, _ y: UnsafePointer<A>?, _ count: Int, channels: Int, into sums: UnsafeMutablePointer<Double>
  ) {
    elementwise.pointee.sum_products(x, y, count, channels, sums)
  }

  /// RGB bytes → (value / 255 − mean) / deviation, both of three.
  package func normalize(
    _ rgb: UnsafePointer<UInt8>, pixels: Int, mean: [Double], deviation: [Double], into x: UnsafeMutablePointer<E>
  ) {
    precondition(mean.count == 3 && deviation.count == 3)
    elementwise.pointee.normalize(rgb, pixels, mean, deviation, x)
  }
}
