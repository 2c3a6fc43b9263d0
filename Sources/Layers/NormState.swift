import Tensors

// What the passes of a norm leave behind (see `Norm`); `A` is the accumulator.

/// What one forward pass leaves behind: the normalization as y = scale·x + shift, and the statistics. One set of channels
/// for all images, or one an image.
package struct NormState<A: Element> {
  package let scale: Buffer<A>, shift: Buffer<A>
  /// μ rounded to the accumulator, as kernels subtract it.
  package let mean: Buffer<A>
  /// From one image's set to the next one's; 0 where all share one.
  package let imageStride: Int
  package let sets: Int
  /// Of each set and channel.
  let exactMean: [Double], inverseDeviation: [Double]
  /// n of the batch, over all ranks, and of an image.
  let count: Double, area: Double

  package var isPerImage: Bool { imageStride > 0 }
}

/// x̄ = a ȳ + b x + c, or ẏ = a ẋ + b x + c.
package struct NormCoefficients<A: Element> {
  package let a: Buffer<A>, b: Buffer<A>, c: Buffer<A>
  package let imageStride: Int

  package init(sets: Int, channels: Int, imageStride: Int) {
    let count = sets * channels
    (a, b, c, self.imageStride) = (Buffer(count: count), Buffer(count: count), Buffer(count: count), imageStride)
  }

  init(a: Buffer<A>, b: Buffer<A>, c: Buffer<A>, imageStride: Int) {
    (self.a, self.b, self.c, self.imageStride) = (a, b, c, imageStride)
  }

  /// All three times `factor`.
  func scaled(by factor: Double) -> NormCoefficients {
    let result = NormCoefficients(sets: 1, channels: a.count, imageStride: imageStride)
    for (from, to) in [(a, result.a), (b, result.b), (c, result.c)] {
      for i in 0..<from.count { to[i] = A(Double(from[i]) * factor) }
    }
    return result
  }
}

/// What a backward pass leaves behind: x̄, and the means m(ȳ), m(x̂ȳ).
package struct NormBackward<A: Element> {
  package let coefficients: NormCoefficients<A>
  let meanGradient: [Double], meanProduct: [Double]
}

/// What a tangent pass leaves behind: ẏ, and m(ẋ), σ̇, m(ẋȳ).
package struct NormTangent<A: Element> {
  package let coefficients: NormCoefficients<A>
  let meanTangent: [Double], deviationTangent: [Double], meanCross: [Double]
}

/// x̄ + λx̄˙ = a h + b x + c + d ȳ + e ẋ.
package struct RegularizedNormCoefficients<A: Element> {
  package let base: NormCoefficients<A>
  package let d: Buffer<A>, e: Buffer<A>
}
