import Kernels
import Tensors

/// How the gradient of a tensor is finished when its last contribution is written: through the ReLU that the
/// tensor came out of, with the sums that the norms below need.
package struct GradientTarget<E: Element> {
  /// A raw convolution output and its normalization.
  package struct Normalized {
    package let z: Tensor<E>
    package let state: NormState<E.Accumulator>

    package init(_ z: Tensor<E>, _ state: NormState<E.Accumulator>) { (self.z, self.state) = (z, state) }
  }

  /// Where the gradient passes.
  package enum Gate {
    /// Everywhere: nothing rectified the tensor.
    case open
    /// Where this stored tensor is positive.
    case positive(Tensor<E>)
    /// Where the pending activation is positive.
    case activation(Normalized)
  }

  package let gate: Gate
  /// The norms whose outputs were added to the tensor: none, one, or two (a block with a downsample).
  package let norms: [Normalized]

  package init(gate: Gate, norms: [Normalized]) { (self.gate, self.norms) = (gate, norms) }

  /// A tensor that nothing was done to.
  package static var plain: GradientTarget { GradientTarget(gate: .open, norms: []) }
}

/// A gradient, gated, with Σg, Σg(z₁ − mean₁), Σg(z₂ − mean₂) of this rank (none if the target has no norm).
package struct Gradient<E: Element> {
  package let tensor: Tensor<E>
  package let sums: Sums

  package init(tensor: Tensor<E>, sums: Sums) { (self.tensor, self.sums) = (tensor, sums) }
}

/// What becomes of the accumulators of a GEMM: out = gate(acc + bias + addend), rounded, stored, summed.
package struct Epilogue<E: Element> {
  package let out: Tensor<E>
  package var bias: UnsafePointer<E.Accumulator>?
  /// Added before gating; of `out`'s shape, or smaller and then read at the nearest pixel.
  package var addend: Tensor<E>?
  package var target: GradientTarget<E> = .plain
  /// Σv and Σv² for the statistics of the norm above.
  package var forwardSums = ForwardSums.none
  /// For a tangent v of z: Σv, Σv(z − mean) and Σvg, where g is the gradient of z's normalization.
  package var tangentOf: (normalized: GradientTarget<E>.Normalized, gradient: Tensor<E>)?

  package enum ForwardSums { case none, ofAllImages, ofEachImage }

  package init(out: Tensor<E>) { self.out = out }

  var hasSums: Bool { forwardSums != .none || tangentOf != nil || !target.norms.isEmpty }

  /// Whether one of the norms concerned has statistics of each image by itself, and so wants sums of each.
  private var sumsImages: Bool {
    forwardSums == .ofEachImage || tangentOf?.normalized.state.isPerImage == true
      || target.norms.contains { $0.state.isPerImage }
  }

  /// Sums over these `parts`, each of `terms` × channels and of one image, in the order of the images. Zero in a rehearsal,
  /// which has none.
  func sums(_ partial: Buffer<Double>?, parts: Int) -> Sums {
    withExtendedLifetime(partial) { sums(partial?.pointer, parts: parts) }
  }

  func sums(_ partial: UnsafeMutablePointer<Double>?, parts: Int) -> Sums {
    guard hasSums else { return .none }
    let channels = out.shape.channels, sets = sumsImages ? out.shape.images : 1
    guard let partial, sets > 0 else { return Sums(terms: 3, channels: channels, sets: sets) }
    let totals = SumConversion.totals(partial, parts: parts, sets: sets, count: 3 * channels, rounding: rounding)
    return Sums(terms: 3, channels: channels, sets: sets, totals)
  }

  /// Bytes of the tensors that it reads and writes, each once.
  var bytes: Int {
    var tensors = [out, addend, tangentOf?.gradient, tangentOf?.normalized.z].compactMap { $0 }
    tensors += target.norms.map(\.z)
    switch target.gate {
    case .open: break
    case .positive(let tensor): tensors.append(tensor)
    case .activation(let normalized): tensors.append(normalized.z)
    }
    var seen = Set<UnsafeMutablePointer<E>>()
    return tensors.reduce(0) { $0 + (seen.insert($1.pointer).inserted ? $1.bytes : 0) }
  }

  /// See `SumConversion`.
  var rounding: Double { SumConversion.rounding(E.self, area: out.shape.area, forward: forwardSums != .none) }

  /// The kernels' view; valid while the epilogue is referenced.
  var view: EpilogueView<E> {
    let gate: EpilogueView<E>.Gate =
      switch target.gate {
      case .open: .open
      case .positive(let tensor): .positive(tensor.pointer)
      case .activation(let n):
        .activation(
          z: n.z.pointer, scale: n.state.scale.pointer, shift: n.state.shift.pointer, imageStride: n.state.imageStride)
      }
    return EpilogueView(
      out: out.pointer, bias: bias, addend: addend.map { UnsafePointer($0.pointer) }, gate: gate, sums: viewSums)
  }

  private var viewSums: EpilogueView<E>.Summed {
    guard forwardSums == .none else { return .forward }
    if let first = target.norms.first {
      return .backward(first.factor, target.norms.count > 1 ? target.norms[1].factor : nil)
    }
    if let tangentOf { return .backward(tangentOf.normalized.factor, .init(tangentOf.gradient.pointer)) }
    return .none
  }
}

extension GradientTarget.Normalized {
  /// z − mean
  fileprivate var factor: EpilogueView<E>.Factor {
    .init(z.pointer, mean: state.mean.pointer, imageStride: state.imageStride)
  }
}
