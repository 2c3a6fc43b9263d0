import Tensors

/// A norm whose output ẑ is gated, image by image and channel by channel:
///
///     ẑ = scale·z + shift,  y = g·ẑ,  g = gate(s),  s = m(ẑ), the mean over an image's pixels
///
/// z is not read again: all of it is affine in what the norm's reader reads anyway, and means follow from the sums that the
/// epilogues take, here of each image by itself. With mean and Σ those of the image,
///
///     s = scale·Σz/area + shift                            y = (g·scale)·z + g·shift
///     ḡ = Σȳẑ = scale·Σȳ(z − mean) + (scale·mean + shift)·Σȳ
///     q = g·ȳ + s̄/area is the gradient of ẑ               Σq, Σq(z − mean) follow; so does the norm's z̄ = a q + b z + c
///     ẑ˙ = a ż + b z + c of the norm, from Σżq too          ṡ = m(ẑ˙)
///     ẏ = g·ẑ˙ + ġ·ẑ
///     ḡ˙ = Σ(ȳ˙ẑ + ȳẑ˙)                                    from Σȳ˙(z − mean), Σżȳ, Σȳ(z − mean)
///     q˙ = g·ȳ˙ + ġ·ȳ + s̄˙/area
///     z̄˙ = a q˙ + b z + c + d q + e ż of the norm
///
/// The last three lines carry h = ȳ + λȳ˙ (see `BackwardPass`). So y, ẏ, z̄ and z̄ + λz̄˙ have a set of coefficients an image.
///
/// Precision: float64 from the sums to the coefficients, rounded to the accumulator once more than without gates; sums that
/// are multiplied by a gate are rounded to their grid again, so that they still add up exactly over images and ranks.
/// Collectives: those of the norm.
final class ExcitedNormPasses<E: Element>: NormPasses {
  /// y from z.
  let state: NormState<E.Accumulator>
  private let inner: any NormPasses<E>, gates: any ChannelGatePasses<E.Accumulator>
  private let rows: ImageRows<E>, area: Double
  /// The norm's, and Σ(z − mean).
  private let scale: Buffer<Double>, shift: Buffer<Double>, mean: Buffer<Double>, centred: Buffer<Double>
  /// Σȳ, Σȳ(z − mean), s̄.
  private var recorded: (yBar: Buffer<Double>, product: Buffer<Double>, sBar: Buffer<Double>)?
  /// ẑ˙, Σżȳ, ġ.
  private var tangent: (normalized: ImageRows<E>.Affine, cross: Buffer<Double>, gDot: Buffer<Double>)?

  /// `sums`: this rank's Σz of each image.
  init(
    _ norm: any NormPasses<E>, _ gate: any ChannelGate<E.Accumulator>, _ sums: Sums, _ shape: Shape,
    _ run: Run<E>
  ) {
    let rows = ImageRows<E>(shape), area = Double(shape.area), normal = norm.state, total = rows.term(0, of: sums)
    let scale = rows.widened(normal.scale, normal.imageStride), shift = rows.widened(normal.shift, normal.imageStride)
    let mean = rows.widened(normal.mean, normal.imageStride)
    (inner, self.rows, self.area, self.scale, self.shift, self.mean) = (norm, rows, area, scale, shift, mean)
    centred = rows.values { total[$0] - area * mean[$0] }
    gates = gate.forward(
      rows.values { scale[$0] * total[$0] / area + shift[$0] }, images: shape.images, run.accumulating)
    let g = gates.g
    state = NormState<E.Accumulator>(
      scale: rows.narrowed { g[$0] * scale[$0] }, shift: rows.narrowed { g[$0] * shift[$0] },
      mean: rows.narrowed { mean[$0] }, imageStride: shape.channels, sets: shape.images, exactMean: [],
      inverseDeviation: [], count: normal.count, area: area)
  }

  func forwardTangent(_ sums: Sums, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    let recorded = after("a recording backward pass", recorded), g = gates.g
    let zDot = rows.term(0, of: sums), product = rows.term(1, of: sums), cross = rows.term(2, of: sums)
    let ofGradient = rows.values { g[$0] * cross[$0] + recorded.sBar[$0] / area * zDot[$0] }
    let (a, b, c) = rows.widened(try inner.forwardTangent(rows.sums([zDot, product, ofGradient]), run))
    // m(ẑ˙), with z − mean for z so that large means cancel first.
    let sDot = rows.values { (a[$0] * zDot[$0] + b[$0] * centred[$0]) / area + b[$0] * mean[$0] + c[$0] }
    let gDot = gates.forwardTangent(sDot, run.accumulating)
    tangent = ((a, b, c), cross, gDot)
    return rows.coefficients(
      a: { g[$0] * a[$0] }, b: { g[$0] * b[$0] + gDot[$0] * self.scale[$0] },
      c: { g[$0] * c[$0] + gDot[$0] * self.shift[$0] })
  }

  func backward(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> NormCoefficients<E.Accumulator> {
    let g = gates.g, area = area, yBar = rows.term(0, of: sums), product = rows.term(1, of: sums)
    let sBar = gates.backward(rows.values { ofNormalized(yBar[$0], product[$0], $0) }, pass, run.accumulating)
    if pass.gradients == nil { recorded = (yBar, product, sBar) }
    let q = rows.values { g[$0] * yBar[$0] + sBar[$0] }
    let qProduct = rows.values { g[$0] * product[$0] + sBar[$0] / area * centred[$0] }
    let (a, b, c) = rows.widened(try inner.backward(rows.sums([q, qProduct]), pass, run))
    return rows.coefficients(a: { g[$0] * a[$0] }, b: { b[$0] }, c: { c[$0] + a[$0] * sBar[$0] / area })
  }

  func backwardTangent(_ sums: Sums, _ pass: BackwardPass, _ run: Run<E>) throws -> RegularizedNormCoefficients<
    E.Accumulator
  > {
    let recorded = after("a recording backward pass", recorded), tangent = after("a tangent pass", tangent)
    let g = gates.g, area = area, weight = pass.tangentWeight
    let h = rows.term(0, of: sums), product = rows.term(1, of: sums), normalized = tangent.normalized
    let gBar = rows.values { i in
      // Σȳẑ˙ = aΣȳż + bΣȳ(z − mean) + (b·mean + c)Σȳ
      let constant = normalized.b[i] * mean[i] + normalized.c[i]
      let cross =
        normalized.a[i] * tangent.cross[i] + normalized.b[i] * recorded.product[i] + constant * recorded.yBar[i]
      return ofNormalized(h[i], product[i], i) + weight * cross
    }
    let sBar = gates.backward(gBar, pass, run.accumulating), gDot = rows.values { weight * tangent.gDot[$0] }
    let q = rows.values { g[$0] * h[$0] + gDot[$0] * recorded.yBar[$0] + sBar[$0] }
    let qProduct = rows.values {
      g[$0] * product[$0] + gDot[$0] * recorded.product[$0] + sBar[$0] / area * centred[$0]
    }
    let inner = try inner.backwardTangent(rows.sums([q, qProduct]), pass, run)
    let (a, b, c) = rows.widened(inner.base), stride = inner.base.imageStride
    let d = rows.widened(inner.d, stride), e = rows.widened(inner.e, stride)
    let base = rows.coefficients(
      a: { a[$0] * g[$0] }, b: { b[$0] },
      c: { c[$0] + (a[$0] * sBar[$0] + d[$0] * recorded.sBar[$0]) / area })
    return RegularizedNormCoefficients<E.Accumulator>(
      base: base, d: rows.narrowed { a[$0] * gDot[$0] + d[$0] * g[$0] }, e: rows.narrowed { e[$0] })
  }

  /// Σvẑ from Σv, Σv(z − mean).
  private func ofNormalized(_ sum: Double, _ product: Double, _ i: Int) -> Double {
    scale[i] * product + (scale[i] * mean[i] + shift[i]) * sum
  }
}

/// Numbers of each image and channel, between sums and coefficients.
private struct ImageRows<E: Element> {
  typealias A = E.Accumulator
  typealias Affine = (a: Buffer<Double>, b: Buffer<Double>, c: Buffer<Double>)

  private let images: Int, channels: Int
  private let rounding: Double

  init(_ shape: Shape) {
    (images, channels) = (shape.images, shape.channels)
    rounding = SumConversion.rounding(E.self, area: shape.area, forward: false)
  }

  func values(_ value: (_ i: Int) -> Double) -> Buffer<Double> {
    let values = Buffer<Double>(count: images * channels)
    for i in 0..<values.count { values.pointer[i] = value(i) }
    return values
  }

  /// Rounded once.
  func narrowed(_ value: (_ i: Int) -> Double) -> Buffer<A> {
    let wide = values(value), result = Buffer<A>(count: wide.count)
    SumConversion.narrow(wide.pointer, count: wide.count, to: result.pointer)
    withExtendedLifetime(wide) {}
    return result
  }

  /// Coefficients that all images share, or not.
  func widened(_ coefficients: Buffer<A>, _ imageStride: Int) -> Buffer<Double> {
    let result = Buffer<Double>(count: images * channels)
    for image in 0..<images {
      SumConversion.widen(
        coefficients.pointer + image * imageStride, count: channels, to: result.pointer + image * channels)
    }
    return result
  }

  func widened(_ coefficients: NormCoefficients<E.Accumulator>) -> Affine {
    let stride = coefficients.imageStride
    return (widened(coefficients.a, stride), widened(coefficients.b, stride), widened(coefficients.c, stride))
  }

  func coefficients(a: (_ i: Int) -> Double, b: (_ i: Int) -> Double, c: (_ i: Int) -> Double) -> NormCoefficients<
    E.Accumulator
  > {
    let result = NormCoefficients<E.Accumulator>(sets: images, channels: channels, imageStride: channels)
    result.a.copy(from: narrowed(a))
    result.b.copy(from: narrowed(b))
    result.c.copy(from: narrowed(c))
    return result
  }

  func term(_ term: Int, of sums: Sums) -> Buffer<Double> {
    values { sums[term, $0 % channels, set: $0 / channels] }
  }

  /// These terms, on the grid.
  func sums(_ terms: [Buffer<Double>]) -> Sums {
    var packed: [Double] = []
    packed.reserveCapacity(terms.count * images * channels)
    for image in 0..<images {
      for term in terms {
        for i in image * channels..<(image + 1) * channels { packed.append((term.pointer[i] + rounding) - rounding) }
      }
    }
    return Sums(terms: terms.count, channels: channels, sets: images, packed)
  }
}
