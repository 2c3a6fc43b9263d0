import Kernels
import Layers
import Tensors
import Testing

/// Convolutions by Winograd's filtering: close to the definition, the same bits in any division of the work.
@Suite struct WinogradTests {
  /// Maps that are whole tiles and those that are not, down to one pixel; channels below, at and beyond whole vectors; several
  /// bands an image; more tiles of a group than are transformed at once (the last).
  static let cases = [
    (5, 7, 6, 5), (4, 3, 4, 4), (3, 4, 13, 30), (16, 32, 16, 8), (33, 65, 8, 4), (2, 3, 1, 1), (18, 20, 2, 9),
    (17, 15, 32, 16), (40, 41, 64, 32),
  ].map {
    ConvolutionCase(inputChannels: $0, outputChannels: $1, kernel: 3, padding: 1, bias: $0 == 4, height: $2, width: $3)
  }

  static let paths = KernelPath.available.filter { $0 != .blas }

  private func kernels(_ path: KernelPath, _ multiplication: Multiplication = .exact) -> Kernels<Float16> {
    Kernels(path: path, multiplication: multiplication, convolution: .winograd)
  }

  @Test(arguments: cases) func followsTheDefinition(_ layer: ConvolutionCase) throws {
    let values = Values(layer, images: layer.height > 32 ? 4 : 3, seed: 5)
    for passes in Course.halves {
      let expected = try outcome(layer, Double.self, values, passes)
      for path in Self.paths {
        let found = try outcome(layer, kernels(path), values, passes, threads: 2)
        let what = "\(layer.name), \(passes), on \(path)"
        #expect(relativeError(found.y, expected.y) < 5e-4, "\(what): output")
        #expect(relativeError(found.inputs[0], expected.inputs[0]) < 5e-4, "\(what): backwardData")
        for (gradient, reference) in zip(found.parameters, expected.parameters) {
          #expect(relativeError(gradient, reference) < 5e-6, "\(what): backwardWeights")
        }
      }
    }
  }

  /// Whatever else is rounded to bfloat16, what is filtered is not.
  @Test(arguments: paths) func operandsAreNotRounded(_ path: KernelPath) throws {
    let layer = Self.cases[4], values = Values(layer, images: 2)
    #expect(try outcome(layer, kernels(path, .bfloat16), values).y == outcome(layer, kernels(path), values).y)
  }

  /// Float32 inside: of float16 outputs hardly more than with all multiply-adds are not the float64 ones rounded.
  @Test(arguments: paths) func outputsAreRoundedOnce(_ path: KernelPath) throws {
    let layer = Self.cases[4], values = Values(layer, images: 3, seed: 6)
    let exact = try outcome(layer, Double.self, values), direct = try outcome(layer, Float16.self, values, path: path)
    let found = try outcome(layer, kernels(path), values)
    func differing(_ y: [Double]) -> Double {
      Double(zip(y, exact.y).filter { $0 != Double(Float16($1)) }.count) / Double(exact.y.count)
    }
    #expect(differing(found.y) < 0.02 && found.y != direct.y)
  }

  @Test(arguments: cases.dropLast(), paths) func noDivisionOfTheWorkChangesABit(
    _ layer: ConvolutionCase, _ path: KernelPath
  ) throws {
    let values = Values(layer, images: 10), kernels = kernels(path)
    for passes in Course.halves {
      let what = "\(layer.name), \(passes), on \(path)"
      let one = try outcome(layer, kernels, values, passes)
      for threads in [2, 3, 8] {
        let many = try outcome(layer, kernels, values, passes, threads: threads)
        #expect(many.y == one.y && many.inputs == one.inputs && many.parameters == one.parameters, "\(what): threads")
      }
      for counts in [[4, 6], [8, 0, 2], [4, 4, 0, 2]] {
        let many = try sharded(layer, kernels, values, passes, counts)
        #expect(many.y == one.y, "\(what) over \(counts): y")
        #expect(many.inputs == one.inputs, "\(what) over \(counts): inputs")
        #expect(many.parameters == one.parameters, "\(what) over \(counts): parameters")
      }
    }
  }

  /// Norms, joins and their tangents around it, over shards.
  @Test(arguments: paths) func blocksOfLayersAreTheSameOnAnyRanks(_ path: KernelPath) throws {
    let layers: [any LayerCase] = [
      NormalizedConvolutionCase(convolution: Self.cases[0]),
      BottleneckCase(channels: 6, inner: 4, stride: 1, downsample: true, height: 7, width: 5),
    ]
    for layer in layers { try checkBlocks(layer, kernels(path)) }
  }

  private func checkBlocks(_ layer: some LayerCase, _ kernels: Kernels<Float16>) throws {
    let values = Values(layer, images: 10)
    for passes in Course.halves {
      let one = try outcome(layer, kernels, values, passes), exact = try outcome(layer, Double.self, values, passes)
      // Gates of activations near 0 open or close by the rounding of either.
      let direct = try outcome(layer, Float16.self, values, passes, path: kernels.path)
      #expect(relativeError(one.y, exact.y) < 1.5 * relativeError(direct.y, exact.y) + 1e-3, "\(layer.name), \(passes)")
      let many = try sharded(layer, kernels, values, passes, [4, 4, 0, 2])
      #expect(many.y == one.y && many.inputs == one.inputs && many.parameters == one.parameters, "\(layer.name)")
    }
  }

  /// What is not finite reaches every output that sees it.
  @Test(arguments: paths, [Double.infinity, .nan]) func whatIsNotFiniteNeverVanishes(
    _ path: KernelPath, _ number: Double
  ) throws {
    let layer = ConvolutionCase(inputChannels: 3, outputChannels: 4, kernel: 3, padding: 1, height: 9, width: 7)
    for pixel in [0, 8, 31, 62] {
      var values = Values(layer, images: 1)
      values.inputs[0][pixel * 3 + 1] = number
      let found = try outcome(layer, kernels(path), values)
      for output in 0..<63 where abs(output / 7 - pixel / 7) <= 1 && abs(output % 7 - pixel % 7) <= 1 {
        #expect(found.y[output * 4..<output * 4 + 4].allSatisfy { !$0.isFinite }, "pixel \(pixel), output \(output)")
      }
      #expect(found.parameters[0].contains { !$0.isFinite }, "pixel \(pixel)")
    }
  }

  /// Other taps and strides, and the references, take all multiply-adds; `auto` does on tiles, which are faster.
  @Test(arguments: paths) func otherConvolutionsAreDirect(_ path: KernelPath) throws {
    #expect(Kernels<Float>(path: path, convolution: .winograd).winograd == nil)
    #expect(Kernels<Double>(path: path, convolution: .winograd).winograd == nil)
    #expect(Kernels<Float16>(path: .blas, convolution: .winograd).winograd == nil)
    #expect(kernels(path).winograd != nil && kernels(path).accumulating.winograd == nil)
    #expect((Kernels<Float16>(path: path, convolution: .auto).winograd != nil) == (path != .amx))
    #expect(Kernels<Float>(path: path, convolution: .auto).winograd == nil)
    #expect(Kernels<Float16>(path: .blas, convolution: .auto).winograd == nil)
    for layer in LayerCases.convolutions where layer.kernel != 3 || layer.stride != 1 || layer.padding != 1 {
      let values = Values(layer, images: 2)
      let found = try outcome(layer, kernels(path), values),
        direct = try outcome(layer, Float16.self, values, path: path)
      #expect(found.y == direct.y && found.inputs == direct.inputs && found.parameters == direct.parameters)
    }
  }
}
