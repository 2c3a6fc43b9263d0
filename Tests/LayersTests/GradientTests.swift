import Kernels
import Tensors
import Testing

/// The one check of every layer's derivative, and what follows from it in the other precisions.
@Suite struct GradientTests {
  /// In float64, ⟨ȳ, y(p + h·v) − y(p − h·v)⟩ / 2h against ⟨p̄, v⟩, for random directions v of each input and of each
  /// parameter tensor by itself.
  @Test(arguments: LayerCases.all) func backwardIsTheDerivative(_ layer: any LayerCase) throws {
    try checkDerivative(layer)
  }

  private func checkDerivative(_ layer: some LayerCase) throws {
    let values = Values(layer, images: 3)
    let analytic = try outcome(layer, Double.self, values)
    let h = 1e-6
    var random = CounterRandom(seed: 2, purpose: .probing)
    let whole = norm(analytic.inputs.flatMap { $0 } + analytic.allParameters)

    func check(_ what: String, _ gradient: [Double], _ path: WritableKeyPath<Values, [Double]>) throws {
      for _ in 0..<2 {
        let direction = gradient.map { _ in random.normal() }
        func contracted(_ step: Double) throws -> Double {
          var moved = values
          for i in direction.indices { moved[keyPath: path][i] += step * direction[i] }
          let y = try outcome(layer, Double.self, moved).y
          return dot(values.cotangent(y.count), y)
        }
        let difference = try (contracted(h) - contracted(-h)) / (2 * h)
        let tolerance = 1e-6 * norm(gradient) + 1e-8 * whole
        #expect(abs(difference - dot(gradient, direction)) <= tolerance, "\(layer.name), \(what)")
      }
    }
    for (i, gradient) in analytic.inputs.enumerated() {
      #expect(norm(gradient) > 0)
      try check("input \(i)", gradient, \.inputs[i])
    }
    let slots = layer.build(Double.self).layout.slots
    for (i, gradient) in analytic.parameters.enumerated() { try check(slots[i].name, gradient, \.parameters[i]) }
  }

  /// float32 and float16 follow float64 on every path; float16 flips a gate here and there.
  @Test(arguments: LayerCases.all, Course.halves) func narrowPrecisionsFollow(
    _ layer: any LayerCase, _ passes: Course
  ) throws {
    try checkNarrow(layer, passes)
  }

  private func checkNarrow(_ layer: some LayerCase, _ passes: Course) throws {
    let values = Values(layer, images: 4)
    let exact = try outcome(layer, Double.self, values, passes)
    for path in KernelPath.available {
      let single = try outcome(layer, Float.self, values, passes, path: path)
      let half = try outcome(layer, Float16.self, values, passes, path: path)
      for (narrow, tolerance, gradientTolerance) in [(single, 2e-6, 5e-6), (half, 2e-3, 5e-3)] {
        #expect(relativeError(narrow.y, exact.y) < tolerance, "\(layer.name), \(passes): y on \(path)")
        for (i, gradient) in narrow.inputs.enumerated() {
          #expect(
            relativeError(gradient, exact.inputs[i]) < gradientTolerance,
            "\(layer.name), \(passes): input \(i) on \(path)")
        }
        let error = relativeError(narrow.allParameters, exact.allParameters)
        #expect(error < gradientTolerance, "\(layer.name), \(passes): parameters on \(path)")
      }
    }
  }

  /// ⟨ȳ, f(x)⟩ = ⟨fᵀ(ȳ), x⟩ for linear f; a convolution is linear in its weights too.
  @Test(arguments: LayerCases.all.filter { $0.isLinear }) func linearLayersHaveTheirAdjoint(_ layer: any LayerCase)
    throws
  {
    try checkAdjoint(layer, Double.self, .blas, 1e-13)
    for path in KernelPath.available { try checkAdjoint(layer, Float.self, path, 1e-6) }
  }

  private func checkAdjoint<E: Element>(_ layer: some LayerCase, _: E.Type, _ path: KernelPath, _ tolerance: Double)
    throws
  {
    let values = Values(layer, images: 3, seed: 3)
    let result = try outcome(layer, E.self, values, path: path)
    let cotangent = values.cotangent(result.y.count)
    let expected = dot(cotangent, result.y)
    let size = norm(cotangent) * norm(result.y)
    #expect(abs(dot(result.inputs[0], values.inputs[0]) - expected) <= tolerance * size, "\(layer.name) on \(path)")
    for (gradient, value) in zip(result.parameters, values.parameters) {
      #expect(abs(dot(gradient, value) - expected) <= tolerance * size, "\(layer.name) on \(path), weights")
    }
  }
}
