import Kernels
import Tensors

/// What every pixel gathers from all pixels of its image, weighed by dot products: the non-local operation without a softmax
/// (Wang et al., "Non-local Neural Networks", CVPR 2018, equation 1 with f the dot product and C = N).
///
///     y_p = 1/N Σ_q (θ_p·φ_q) γ_q, so y = θM, M = φᵀγ/N         N pixels; M is c×c, so no N×N matrix is ever made
///     ẏ = θ̇M + θṀ,  Ṁ = (φ̇ᵀγ + φᵀγ̇)/N
///     θ̄ = ȳMᵀ,  φ̄ = γM̄ᵀ,  γ̄ = φM̄,  M̄ = θᵀȳ/N
///     θ̄˙ = ȳ˙Mᵀ + ȳṀᵀ,  φ̄˙ = γM̄˙ᵀ + γ̇M̄ᵀ,  γ̄˙ = φM̄˙ + φ̇M̄,  M̄˙ = (θᵀȳ˙ + θ̇ᵀȳ)/N
///
/// The last line carries h = ȳ + λȳ˙ (see `BackwardPass`). M is made anew for each pass.
///
/// θ, φ, γ, y: n×h×w×c, y stored. Precision: an image's matrices in float64, rounded to storage. Collectives: none.
final class PixelProducts<E: Element> {
  /// Of θ, φ and γ, or what belongs to them: tangents or gradients.
  struct Three<Value> {
    let theta: Value, phi: Value, gamma: Value

    fileprivate var all: [Value] { [theta, phi, gamma] }

    func map<T>(_ transform: (Value) -> T) -> PixelProducts<E>.Three<T> {
      .init(theta: transform(theta), phi: transform(phi), gamma: transform(gamma))
    }
  }

  let y: Tensor<E>
  private let x: Three<Operand<E>>
  private var recorded: Tensor<E>?
  private var tangent: Three<Operand<E>>?
  private(set) var storedTangents: [Tensor<E>] = []

  init(_ x: Three<Operand<E>>, _ run: Run<E>) {
    let y = run.context.tensor(x.theta.shape)
    (self.x, self.y) = (x, y)
    Self.forEachImage(.forward, products: 2, x.all, writing: [y], run) { read in
      let m = ImageMatrix.product((read(x.phi).transposed, read(x.gamma)), by: read.gemm)
      m.scale(by: mean)
      read.store(.product((read(x.theta), m), by: read.gemm), y)
    }
  }

  /// ẏ. After a recording backward pass.
  func forwardTangent(_ xDot: Three<Operand<E>>, _ run: Run<E>) -> Tensor<E> {
    let x = x, yDot = run.context.tensor(y.shape)
    (tangent, storedTangents) = (xDot, [yDot])
    Self.forEachImage(.tangent, products: 5, x.all + xDot.all, writing: [yDot], run) { read in
      let gemm = read.gemm, (phi, gamma) = (read(x.phi), read(x.gamma))
      let m = ImageMatrix.product((phi.transposed, gamma), by: gemm)
      let mDot = ImageMatrix.product(
        (read(xDot.phi).transposed, gamma), (phi.transposed, read(xDot.gamma)), by: gemm)
      for matrix in [m, mDot] { matrix.scale(by: mean) }
      read.store(.product((read(xDot.theta), m), (read(x.theta), mDot), by: gemm), yDot)
    }
    return yDot
  }

  /// θ̄, φ̄ and γ̄ from ȳ, or all with λ times their tangents.
  func backward(_ yBar: Tensor<E>, _ pass: BackwardPass, _ run: Run<E>) -> Three<Tensor<E>> {
    if case .regularized(_, let weight) = pass, let recorded, let tangent {
      return backward(yBar, recorded: recorded, tangent, weight, run)
    }
    if pass.gradients == nil { recorded = yBar }
    let x = x, bars = Self.bars(y.shape, run), yBar = Operand.plain(yBar)
    Self.forEachImage(.backwardData, products: 5, x.all + [yBar], writing: bars.all, run) { read in
      let gemm = read.gemm, (phi, gamma, yBar) = (read(x.phi), read(x.gamma), read(yBar))
      let m = ImageMatrix.product((phi.transposed, gamma), by: gemm)
      let mBar = ImageMatrix.product((read(x.theta).transposed, yBar), by: gemm)
      for matrix in [m, mBar] { matrix.scale(by: mean) }
      read.store(.product((yBar, m.transposed), by: gemm), bars.theta)
      read.store(.product((gamma, mBar.transposed), by: gemm), bars.phi)
      read.store(.product((phi, mBar), by: gemm), bars.gamma)
    }
    return bars
  }

  /// `tangents` count `weight` in the loss.
  private func backward(
    _ h: Tensor<E>, recorded: Tensor<E>, _ tangent: Three<Operand<E>>, _ weight: Double, _ run: Run<E>
  ) -> Three<Tensor<E>> {
    let x = x, bars = Self.bars(y.shape, run), operands = x.all + tangent.all + [.plain(h), .plain(recorded)]
    Self.forEachImage(.backwardData, products: 12, operands, writing: bars.all, run) { read in
      let gemm = read.gemm, (theta, phi, gamma) = (read(x.theta), read(x.phi), read(x.gamma))
      let (thetaDot, phiDot, gammaDot) = (read(tangent.theta), read(tangent.phi), read(tangent.gamma))
      let h = read(.plain(h)), weighted = read(.plain(recorded), times: weight)
      let m = ImageMatrix.product((phi.transposed, gamma), by: gemm)
      let mDot = ImageMatrix.product((phiDot.transposed, gamma), (phi.transposed, gammaDot), by: gemm)
      let mBar = ImageMatrix.product((theta.transposed, weighted), by: gemm)
      let mBarH = ImageMatrix.product((theta.transposed, h), (thetaDot.transposed, weighted), by: gemm)
      for matrix in [m, mDot, mBar, mBarH] { matrix.scale(by: mean) }
      read.store(.product((h, m.transposed), (weighted, mDot.transposed), by: gemm), bars.theta)
      read.store(.product((gamma, mBarH.transposed), (gammaDot, mBar.transposed), by: gemm), bars.phi)
      read.store(.product((phi, mBarH), (phiDot, mBar), by: gemm), bars.gamma)
    }
    return bars
  }

  private static func bars(_ shape: Shape, _ run: Run<E>) -> Three<Tensor<E>> {
    Three(theta: run.context.tensor(shape), phi: run.context.tensor(shape), gamma: run.context.tensor(shape))
  }

  /// 1/N.
  private var mean: Double { 1 / Double(y.shape.area) }

  /// `products` of matrices of N×c and c×c each image.
  private static func forEachImage(
    _ pass: Work.Pass, products: Int, _ operands: [Operand<E>], writing outputs: [Tensor<E>], _ run: Run<E>,
    _ body: (_ read: ImageMatrices<E>) -> Void
  ) {
    let shape = outputs[0].shape
    precondition((operands.map(\.shape) + outputs.map(\.shape)).allSatisfy { $0 == shape })
    run.context.workers.work.add(pass, products * shape.count * shape.channels)
    ImageMatrices.forEachImage(operands, writing: outputs, run.context) { _, read in body(read) }
  }
}
