import Kernels
import Tensors

/// Four channels to one, each with a weight of its own: what gradually narrows a map in GSAM (E-RFB: "Efficient-Receptive Field
/// Block with Group Spatial Attention Mechanism for Object Detection", ICPR 2020; reconstructed from the abstract).
///
///     y_j = Σ_i w_i x_i,  x̄_i = w_i ȳ_j        over the channels i of group j: 4j … 4j + 3, the last group may have fewer
///     w̄_i += Σ x_i ȳ_j (+ ẋ_i ȳ₁_j)             Σ over images and pixels
///
/// x: n×h×w×c, y: n×h×w×⌈c/4⌉. Precision: float64 within a pixel, and within an image for w̄; added image by image (see
/// `ParameterGradients`). Collectives: none; w̄ is a local sum that the gradient reduction adds up over ranks.
package final class ChannelNarrowing<E: Element>: LinearMap {
  package typealias A = E.Accumulator
  /// Channels of a group.
  private static var group: Int { 4 }

  package let geometry: Geometry
  private let weight: ParameterLayout.Slot
  private var working: Buffer<Double>?

  package static func outputs(_ channels: Int) -> Int { (channels + group - 1) / group }

  /// Tensor `<name>.weight`, a number a channel, all of them a quarter at first.
  package init(_ layout: inout ParameterLayout, _ name: String, channels: Int) {
    let outputs = Self.outputs(channels)
    geometry = Geometry(inputs: channels, outputs: outputs, groups: outputs)
    weight = layout.add(name + ".weight", .normScale, shape: [channels], start: .constant(1 / Double(Self.group)))
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    // Its last group may be smaller than the others, so all of them stand in one matrix.
    let (inputs, outputs) = (geometry.inputs, geometry.outputs), numbers = graph.numbers(weight)
    let matrix = graph.constant(weight.name, [outputs, inputs, 1, 1]) {
      .numbers((0..<outputs * inputs).map { $0 % inputs / Self.group == $0 / inputs ? numbers[$0 % inputs] : 0 })
    }
    return graph.convolution(x, matrix, nil, Geometry(inputs: inputs, outputs: outputs))
  }

  package var slots: [ParameterLayout.Slot] { [weight] }
  package var keptBytes: Int { working?.bytes ?? 0 }

  package func pack(_ values: Buffer<A>, backward: Bool, _ context: Context<E>) {
    let working = working ?? Buffer<Double>(count: weight.count)
    self.working = working
    guard !context.workers.isRehearsal else { return }
    SumConversion.widen(values.pointer + weight.range.lowerBound, count: weight.count, to: working.pointer)
  }

  package func forward(_ x: Operand<E>, _ parameters: Parameters<A>, _ epilogue: Epilogue<E>, _ context: Context<E>)
    -> Sums
  {
    narrowed(x, epilogue, context)
  }

  package func forwardTangent(_ xDot: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    narrowed(xDot, epilogue, context)
  }

  private func narrowed(_ x: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let inputs = geometry.inputs, outputs = geometry.outputs, working = working
    return run(x, epilogue, context) { pixel, y in
      let weights = after("packing", working).pointer
      for j in 0..<outputs { y[j] = 0 }
      for i in 0..<inputs { y[i / Self.group] += weights[i] * pixel[i] }
    }
  }

  package func backwardData(_ yBar: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let inputs = geometry.inputs, working = working
    return run(yBar, epilogue, context) { pixel, x in
      let weights = after("packing", working).pointer
      for i in 0..<inputs { x[i] = weights[i] * pixel[i / Self.group] }
    }
  }

  /// Pixel by pixel, in float64.
  private func run(
    _ operand: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>,
    _ body: (_ pixel: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>) -> Void
  ) -> Sums {
    let shape = operand.shape, outputs = epilogue.out.shape.channels
    return OperandLines([operand], context).run(epilogue, context) { line, out in
      for column in 0..<shape.width { body(line[0] + column * shape.channels, out + column * outputs) }
    }
  }

  package func backwardWeights(
    _ x: Operand<E>, _ yBar: Operand<E>, tangent: (x: Operand<E>, yBar: Operand<E>)?,
    into gradients: ParameterGradients, _ context: Context<E>
  ) {
    let inputs = geometry.inputs, outputs = geometry.outputs, images = x.shape.images, area = x.shape.area
    let terms = [(x, yBar)] + (tangent.map { [($0.x, $0.yBar)] } ?? [])
    let read = terms.map { (x: $0.materialized(context), yBar: $1.materialized(context)) }
    guard !context.workers.isRehearsal else { return }
    let sums = Buffer<Double>(count: images * inputs)
    context.workers.parallelFor(images) { image, _ in
      let sum = sums.pointer + image * inputs
      for term in read {
        for pixel in image * area..<(image + 1) * area {
          for i in 0..<inputs {
            sum[i] +=
              Double(term.x.pointer[pixel * inputs + i])
              * Double(term.yBar.pointer[pixel * outputs + i / Self.group])
          }
        }
      }
    }
    for i in 0..<sums.count { gradients.add(sums[i], at: weight.range.lowerBound + i % inputs) }
  }
}
