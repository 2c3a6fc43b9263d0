import Foundation
import Tensors

/// The gates of efficient channel attention (Wang et al., "ECA-Net", 2020), from an image's means: a convolution of odd size
/// k over the channels, w, without a bias.
///
///     g = σ(a),  a[c] = Σ_j w[j]·s[c + j − p],  p = ⌊k/2⌋, σ' = g(1 − g)      s beyond the channels: 0
///     ġ = σ'∘ȧ                                                               ȧ from ṡ as a from s
///     ā = σ'∘ḡ,  s̄[c] = Σ_j w[j]·ā[c − j + p],  w̄[j] += Σ_c ā[c]·s[c + j − p]
///     ā˙ = σ'∘(ḡ˙ + (1 − 2g)ȧ∘ḡ),  s̄˙ from ā˙,  w̄˙[j] += Σ_c (ā˙[c]·s[c + j − p] + ā[c]·ṡ[c + j − p])
///
/// The last line carries ḡ + λḡ˙ (see `BackwardPass`).
///
/// s, g: n×c. Precision: float64; w̄ is summed within an image in float64 and over images on the grid of
/// `ParameterGradients`. Collectives: none; w̄ is a local sum that the gradient reduction adds up over ranks.
package final class ChannelConvolution<A: Element>: ChannelGate where A.Accumulator == A {
  private let weight: ParameterLayout.Slot, channels: Int

  /// Tensor `<name>.conv.weight`, 1 × 1 × kernel.
  package init(
    _ layout: inout ParameterLayout, _ name: String, channels: Int, _ options: ChannelConvolutionOptions
  ) {
    weight = layout.add(name + ".conv.weight", .convolution, shape: [1, 1, options.size(channels: channels)])
    self.channels = channels
  }

  package var maps: [any LinearMap<A>] { [] }

  package func express(_ s: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    let size = weight.count, line = graph.reshaped(s, [1, channels])
    let a = graph.add(
      "Conv", [line.name, graph.parameter(weight)], extent: line.extent,
      [("kernel_shape", .integers([size])), ("pads", .integers([size / 2, size / 2]))])
    return graph.reshaped(graph.sigmoid(a), [channels, 1, 1])
  }

  package func forward(_ s: Buffer<Double>, images: Int, _ run: Run<A>) -> any ChannelGatePasses<A> {
    run.note([weight])
    return ChannelConvolutionPasses(s, weight, images: images, channels: channels, run)
  }
}

/// Of `ChannelConvolution`.
package struct ChannelConvolutionOptions: Options {
  package var kernel = 0
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .value(
        "kernel", \.kernel, type: "integer", "an odd number from 1 to 63, or 0",
        "k, the channels that a gate sees; 0: the authors' choice, the odd number at or above ⌊(log₂ C + 1)/2⌋ for C channels.",
        allows: { (0...63).contains($0) && ($0 == 0 || $0 % 2 == 1) })
    ]
  }

  /// k.
  func size(channels: Int) -> Int { kernel > 0 ? kernel : Int((log2(Double(channels)) + 1) / 2) | 1 }
}

private final class ChannelConvolutionPasses<A: Element>: ChannelGatePasses where A.Accumulator == A {
  let g: Buffer<Double>
  private let s: Buffer<Double>, weight: ParameterLayout.Slot, w: [Double], images: Int, channels: Int
  /// ḡ, and ā from it.
  private var recorded: (gBar: Buffer<Double>, aBar: Buffer<Double>)?
  private var tangent: (s: Buffer<Double>, a: Buffer<Double>)?

  init(_ s: Buffer<Double>, _ weight: ParameterLayout.Slot, images: Int, channels: Int, _ run: Run<A>) {
    (self.s, self.weight, self.images, self.channels) = (s, weight, images, channels)
    w = weight.range.map { Double(run.parameters.values[$0]) }
    g = Buffer(count: s.count)
    let a = convolved(s, adjoint: false)
    for i in 0..<g.count { g[i] = 1 / (1 + exp(-a[i])) }
  }

  /// body(j, i, k): tap j sees k from i, both of one image.
  private func forEachTap(of image: Int, _ body: (_ tap: Int, _ i: Int, _ source: Int) -> Void) {
    for c in 0..<channels {
      for j in w.indices where (0..<channels).contains(c + j - w.count / 2) {
        body(j, image * channels + c, image * channels + c + j - w.count / 2)
      }
    }
  }

  private func convolved(_ x: Buffer<Double>, adjoint: Bool) -> Buffer<Double> {
    let y = Buffer<Double>(count: x.count)
    for image in 0..<images {
      forEachTap(of: image) { j, i, k in if adjoint { y[k] += w[j] * x[i] } else { y[i] += w[j] * x[k] } }
    }
    return y
  }

  func forwardTangent(_ sDot: Buffer<Double>, _ run: Run<A>) -> Buffer<Double> {
    let aDot = convolved(sDot, adjoint: false), gDot = Buffer<Double>(count: g.count)
    for i in 0..<g.count { gDot[i] = g[i] * (1 - g[i]) * aDot[i] }
    tangent = (sDot, aDot)
    return gDot
  }

  func backward(_ gBar: Buffer<Double>, _ pass: BackwardPass, _ run: Run<A>) -> Buffer<Double> {
    let aBar = Buffer<Double>(count: g.count)
    for i in 0..<g.count { aBar[i] = g[i] * (1 - g[i]) * gBar[i] }
    if let tangent, let recorded, case .regularized(_, let weight) = pass {
      for i in 0..<g.count {
        aBar[i] += weight * g[i] * (1 - g[i]) * (1 - 2 * g[i]) * tangent.a[i] * recorded.gBar[i]
      }
    }
    guard let gradients = pass.gradients else {
      recorded = (gBar, aBar)
      return convolved(aBar, adjoint: true)
    }
    if !run.context.workers.isRehearsal {
      for image in 0..<images {
        var sums = [Double](repeating: 0, count: w.count)
        forEachTap(of: image) { j, i, k in
          sums[j] += aBar[i] * s[k]
          if let tangent, let recorded { sums[j] += pass.tangentWeight * recorded.aBar[i] * tangent.s[k] }
        }
        for j in w.indices { gradients.add(sums[j], at: weight.range.lowerBound + j) }
      }
    }
    return convolved(aBar, adjoint: true)
  }
}
