import Collectives
import Kernels
import Layers
import Tensors
import Testing

/// Convolutions whose operands are bfloat16, rounded or split in two, against the same ones multiplied by OpenBLAS.
///
/// Storage is float16, so that both round the same sums to 11 bits: they differ where the sums' last float32 bits (or
/// what lo·lo adds, 2⁻¹⁶ of a product at most) decide a tie. That is a few outputs in a hundred, and one unit of the
/// last place.
/// A missing lo shows in most outputs, that of one tap of 49 still in many.
@Suite struct NarrowOperandTests {
  /// Fixed shapes at the edges of tiles and blocks of depth, and random ones of all kinds of the network.
  private static let layers: [ConvolutionCase] = {
    var random = CounterRandom(seed: 21, purpose: .probing)
    func upTo(_ bound: Int) -> Int { 1 + random.integer(below: bound) }
    let fixed = [
      ConvolutionCase(inputChannels: 32, outputChannels: 32, height: 5, width: 7),
      ConvolutionCase(inputChannels: 64, outputChannels: 33, kernel: 3, padding: 1, height: 9, width: 5),
      // runs of more than a block of depth
      ConvolutionCase(inputChannels: 181, outputChannels: 17, kernel: 3, padding: 1, height: 3, width: 5),
      ConvolutionCase(inputChannels: 2100, outputChannels: 35, bias: true, height: 1, width: 1),
      // several bands an image, the stem
      ConvolutionCase(inputChannels: 3, outputChannels: 20, kernel: 7, stride: 2, padding: 3, height: 33, width: 27),
    ]
    return fixed
      + (0..<20).map { index in
        let (height, width) = (upTo(11), upTo(index % 4 == 0 ? 40 : 9))
        let (inputs, outputs) = (upTo(70), upTo(70))
        return switch index % 5 {
        case 0: ConvolutionCase(inputChannels: inputs, outputChannels: outputs, height: height, width: width)
        case 1:
          ConvolutionCase(
            inputChannels: inputs, outputChannels: outputs, kernel: 3, padding: 1, height: height, width: width)
        case 2:
          ConvolutionCase(
            inputChannels: inputs, outputChannels: outputs, kernel: 3, stride: 2, padding: 1, height: height,
            width: width)
        case 3:
          ConvolutionCase(
            inputChannels: 3, outputChannels: outputs, kernel: 7, stride: 2, padding: 3, height: height + 2,
            width: width + 2)
        default:
          index % 2 == 0
            ? ConvolutionCase(inputChannels: inputs, outputChannels: outputs, stride: 2, height: height, width: width)
            : ConvolutionCase(inputChannels: 8 * inputs, outputChannels: outputs, bias: true, height: 1, width: 1)
        }
      }
  }()

  /// What of two float16 tensors differs by more than a unit of the last place, or more than now and then.
  private func disagreements(_ a: [Double], _ b: [Double]) -> [String] {
    guard a.count == b.count else { return ["\(a.count) values instead of \(b.count)"] }
    let scale = norm(b) / Double(max(1, b.count)).squareRoot()
    let differing = a.indices.filter { a[$0] != b[$0] }
    var wrong = differing.filter { !(abs(a[$0] - b[$0]) <= Double(Float16(abs(b[$0])).ulp) + 3e-5 * scale) }.prefix(3)
      .map { "[\($0)] \(a[$0]) instead of \(b[$0])" }
    if Double(differing.count) > 2 + 0.05 * Double(a.count) { wrong.append("\(differing.count) of \(a.count)") }
    return Array(wrong)
  }

  @Test(arguments: TestedKernels.narrow) func convolutions(_ tested: TestedKernels) throws {
    for (seed, layer) in Self.layers.enumerated() {
      let values = Values(layer, images: 5, seed: UInt64(seed))
      for passes in Course.halves {
        let result = try outcome(layer, tested.kernels(Float16.self), values, passes, threads: 2)
        let expected = try outcome(layer, tested.reference.kernels(Float16.self), values, passes)
        let what = "\(layer.name), \(passes), \(tested.testDescription)"
        #expect(disagreements(result.y, expected.y).isEmpty, "\(what): output")
        #expect(disagreements(result.inputs[0], expected.inputs[0]).isEmpty, "\(what): backwardData")
        // accumulators, not rounded; without lo·lo they are 3e-6 off
        let tolerance = tested.multiplication == .exact ? 1e-5 : 1e-6
        let error = relativeError(result.parameters[0], expected.parameters[0])
        #expect(error < tolerance, "\(what): backwardWeights")
        #expect(result.parameters.dropFirst().elementsEqual(expected.parameters.dropFirst()), "\(what): bias")
      }
    }
  }

  /// The passes of a convolution whose operands are all pending.
  private struct Pending {
    let y: [Double], yDot: [Double], xBar: [Double], wBar: [Double]

    init(_ layer: ConvolutionCase, images: Int, _ kernels: Kernels<Float16>) throws {
      let context = Context(
        workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(), kernels: kernels)
      var layout = ParameterLayout()
      var statistics = ParameterLayout()
      let convolution = Convolution<Float16>(
        &layout, "conv", inputs: layer.inputChannels, outputs: layer.outputChannels, kernel: layer.kernel,
        stride: layer.stride, padding: layer.padding)
      let below = Norm<Float16>(&layout, &statistics, "below", channels: layer.inputChannels)
      let above = Norm<Float16>(&layout, &statistics, "above", channels: layer.outputChannels)
      let parameters = Parameters<Float>(layout: layout, statistics: statistics)
      var random = CounterRandom(seed: 31, purpose: .probing)
      for i in 0..<layout.count { parameters.values[i] = Float(Float16(random.normal())) }
      convolution.pack(parameters.values, backward: true, context)
      func normal(_ shape: Shape) -> Tensor<Float16> {
        tensor((0..<shape.count).map { _ in random.normal() }, shape, context)
      }
      /// A normalized tensor, and coefficients of a gradient through it.
      func normalized(_ norm: Norm<Float16>, _ shape: Shape) throws -> (
        z: Tensor<Float16>, state: NormState<Float>, coefficients: NormCoefficients<Float>
      ) {
        let run = Run(context, parameters, .training(seed: 0, step: 0, firstRow: 0))
        let stored = try StoredNorm(norm, of: normal(shape), run).normalized
        let sums = (0..<2 * shape.channels).map { _ in 10 * random.normal() }
        let backward = try norm.backward(
          stored.state, Sums(terms: 2, channels: shape.channels, sums), into: nil, run)
        return (stored.z, stored.state, backward.coefficients)
      }
      let input = Shape(images, layer.height, layer.width, layer.inputChannels)
      let output = convolution.outputShape(input)
      let x = try normalized(below, input)
      let z = try normalized(above, output)
      let activation = Operand.activation(x.z, x.state)
      let tangent = Operand.activationTangent(normal(input), through: x.z, x.state, x.coefficients)
      let h = Operand.gradient(normal(output), through: z.z, z.coefficients)
      let yBar = Operand.gradient(normal(output), through: z.z, z.coefficients)
      func run(_ shape: Shape, _ pass: (Epilogue<Float16>) -> Void) -> [Double] {
        let epilogue = Epilogue(out: context.tensor(shape))
        pass(epilogue)
        return doubles(epilogue.out)
      }
      y = run(output) { convolution.forward(activation, parameters, $0, context) }
      yDot = run(output) { convolution.forwardTangent(tangent, $0, context) }
      xBar = run(input) { convolution.backwardData(h, $0, context) }
      let gradients = ParameterGradients(count: layout.count)
      convolution.backwardWeights(activation, h, tangent: (tangent, yBar), into: gradients, context)
      wBar = convolution.weight.range.map { gradients[$0] }
    }
  }

  /// Scales, shifts and gates are applied before operands are rounded or split.
  @Test(arguments: TestedKernels.narrow) func pendingOperands(_ tested: TestedKernels) throws {
    for layer in Self.layers where !layer.bias && layer.height * layer.width > 1 {
      let result = try Pending(layer, images: 5, tested.kernels(Float16.self))
      let expected = try Pending(layer, images: 5, tested.reference.kernels(Float16.self))
      let what = "\(layer.name), \(tested.testDescription)"
      #expect(disagreements(result.y, expected.y).isEmpty, "\(what): forward")
      #expect(disagreements(result.yDot, expected.yDot).isEmpty, "\(what): forwardTangent")
      #expect(disagreements(result.xBar, expected.xBar).isEmpty, "\(what): backwardData")
      let tolerance = tested.multiplication == .exact ? 1e-5 : 1e-6
      #expect(relativeError(result.wBar, expected.wBar) < tolerance, "\(what): backwardWeights")
    }
  }
}
