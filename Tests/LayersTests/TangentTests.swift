import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// The one check of every layer's tangent passes: forwardTangent is the derivative of forward, and the tangent part of
/// the second backward pass that of backward. Gates and winners stay where they are for steps this small.
@Suite struct TangentTests {
  private static let h = 1e-6

  /// (f(+h) − f(−h)) / 2h along (ẋ, ȳ˙) of what `part` takes from the plain passes.
  private func difference(_ layer: some LayerCase, _ values: Values, _ part: (Outcome) -> [Double]) throws -> [Double] {
    let up = part(try outcome(layer, Double.self, values.moved(by: Self.h)))
    let down = part(try outcome(layer, Double.self, values.moved(by: -Self.h)))
    return zip(up, down).map { ($0 - $1) / (2 * Self.h) }
  }

  @Test(arguments: LayerCases.all) func forwardTangentIsTheDerivative(_ layer: any LayerCase) throws {
    try checkForward(layer)
  }

  private func checkForward(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 3, seed: 11)
    let yDot = try outcome(layer, Double.self, values, .tangent).y
    #expect(norm(yDot) > 0)
    #expect(relativeError(try difference(layer, values, \.y), yDot) < 1e-7, "\(layer.name)")
  }

  /// ⟨ȳ, Jẋ⟩ = ⟨Jᵀȳ, ẋ⟩: forwardTangent and backward are of the same J.
  @Test(arguments: LayerCases.all) func forwardTangentIsTheAdjointOfBackward(_ layer: any LayerCase) throws {
    try checkAdjoint(layer, Double.self, .blas, 1e-12)
    for path in KernelPath.available {
      try checkAdjoint(layer, Float.self, path, 2e-6)
      try checkAdjoint(layer, Float16.self, path, 1e-3)
    }
  }

  private func checkAdjoint<E: Element>(_ layer: some LayerCase, _: E.Type, _ path: KernelPath, _ tolerance: Double)
    throws
  {
    let values = Values(layer, images: 3, seed: 12)
    let plain = try outcome(layer, E.self, values, path: path)
    let tangent = try outcome(layer, E.self, values, .tangent, path: path)
    let yBar = values.cotangent(plain.y.count)
    let left = dot(yBar, tangent.y)
    let right = zip(plain.inputs, values.tangents).reduce(0) { $0 + dot($1.0, $1.1) }
    let size = norm(yBar) * norm(tangent.y)
    #expect(abs(left - right) <= tolerance * size, "\(layer.name), \(E.self) on \(path)")
  }

  /// (x̄ + κx̄˙ − x̄)/κ and (θ̄ + κθ̄˙ − θ̄)/κ are the derivatives of x̄ and θ̄ along (ẋ, ȳ˙), for every input and
  /// parameter tensor by itself.
  @Test(arguments: LayerCases.all) func backwardTangentIsTheDerivativeOfBackward(_ layer: any LayerCase) throws {
    try checkBackward(layer)
  }

  private func checkBackward(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 3, seed: 13)
    let plain = try outcome(layer, Double.self, values)
    let both = try outcome(layer, Double.self, values, .tangent)
    let slots = layer.build(Double.self).layout.slots
    let whole = norm(both.inputs.flatMap { $0 } + both.allParameters)

    func check(_ what: String, _ part: (Outcome) -> [Double]) throws {
      let tangent = zip(part(both), part(plain)).map { ($0 - $1) / Values.tangentWeight }
      let expected = try difference(layer, values, part)
      let error = norm(zip(tangent, expected).map { $0 - $1 })
      #expect(error <= 1e-8 * norm(expected) + 1e-9 * whole, "\(layer.name), \(what)")
    }
    for i in layer.inputs.indices { try check("input \(i)") { $0.inputs[i] } }
    for (i, slot) in slots.enumerated() { try check(slot.name) { $0.parameters[i] } }
  }

  /// Tangents stored τ times count λ/τ: ẏ comes out τ times, the gradients of J are the same.
  @Test(arguments: LayerCases.all) func tangentsHaveAScaleOfTheirOwn(_ layer: any LayerCase) throws {
    try checkScale(layer)
  }

  private func checkScale(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 3, seed: 14)
    let one = try outcome(layer, Double.self, values, .tangent)
    for scale in [0x1p-10, 0x1p12] {
      let scaled = try outcome(layer, Double.self, values, .tangent(scale: scale))
      #expect(relativeError(scaled.y, one.y.map { scale * $0 }) < 1e-13, "\(layer.name) × \(scale)")
      #expect(
        relativeError(scaled.inputs.flatMap { $0 }, one.inputs.flatMap { $0 }) < 1e-12, "\(layer.name) × \(scale)")
      #expect(relativeError(scaled.allParameters, one.allParameters) < 1e-12, "\(layer.name) × \(scale)")
    }
  }

  /// A recording pass computes the same gradients and adds none up; below the perturbed layers the second backward pass
  /// is a plain one.
  @Test(arguments: LayerCases.all) func theOtherPassesGoOnAsPlainOnes(_ layer: any LayerCase) throws {
    try checkOthers(layer, Double.self)
    try checkOthers(layer, Float16.self)
  }

  private func checkOthers<E: Element>(_ layer: some LayerCase, _: E.Type) throws {
    let values = Values(layer, images: 3, seed: 15)
    let plain = try outcome(layer, E.self, values)
    let recording = try outcome(layer, E.self, values, .recording)
    #expect(recording.inputs == plain.inputs && recording.allParameters.allSatisfy { $0 == 0 }, "\(layer.name)")
    let unperturbed = try outcome(layer, E.self, values, .unperturbed)
    #expect(unperturbed.inputs == plain.inputs && unperturbed.parameters == plain.parameters, "\(layer.name)")
  }

  /// What perturbs a block's output joins its tangent behind the gate, also where that is closed.
  @Test func aDirectionIsAddedBehindTheGate() throws {
    let context = Context<Double>(
      workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(), kernels: Kernels(path: .blas))
    let shape = Shape(3, 4, 5, 7)
    var random = CounterRandom(seed: 16, purpose: .probing)
    func normals() -> [Double] { (0..<shape.count).map { _ in random.normal() } }
    var layout = ParameterLayout()
    var statistics = ParameterLayout()
    let norm = Norm<Double>(&layout, &statistics, "bn", channels: shape.channels)
    let parameters = Parameters<Double>(layout: layout, statistics: statistics)
    for i in norm.scale.range { parameters.values[i] = 1 }
    let run = Run(context, parameters, .training(seed: 0, step: 0, firstRow: 0))
    let main = try StoredNorm(norm, of: tensor(normals(), shape, context), run)
    let shortcut = ResidualJoin<Double>.Shortcut.identity(tensor(normals(), shape, context))
    let y = ResidualJoin.forward(main.normalized, shortcut, context)
    let g = finish(normals(), shape, ResidualJoin.target(y: y, main.normalized, shortcut), context)
    _ = try main.backward(g.tensor, sums: g.sums, .recording(places: []))
    try main.forwardTangent(tensor(normals(), shape, context))

    let xDot = tensor(normals(), shape, context)
    let v = tensor(normals(), shape, context)
    func yDot(adding v: Tensor<Double>?) -> [Double] {
      ResidualJoin.forwardTangent(y: y, main.yDot, shortcut: .plain(xDot), adding: v, context).array
    }
    let (with, without) = (yDot(adding: v), yDot(adding: nil))
    #expect(with == zip(without, v.array).map { $0 + $1 })
    let closed = y.array.indices.filter { y.array[$0] == 0 }
    #expect(!closed.isEmpty && closed.allSatisfy { without[$0] == 0 && with[$0] == v.array[$0] })
  }
}
