import Kernels
import Tensors

/// A depthwise convolution (k×k, as many groups as channels, padding ⌊k/2⌋, no bias): each channel by itself.
///
///     y[i, j] = Σ over taps (t, u) of w[t, u]∘x[s·i + t − p, s·j + u − p]      x: n×h×w×c   y: n×h'×w'×c
///     ẏ from ẋ as y from x
///     x̄[i, j] = Σ w[t, u]∘ȳ[(i + p − t)/s, (j + p − u)/s]                        where these are whole
///     W̄[t, u] += Σ x[s·i + t − p, s·j + u − p]∘ȳ[i, j]                          (+ ẋ∘ȳ₁, the second term of a tangent)
///
/// There is no GEMM to it. 3×3 with stride 1 is the matter of `DepthwiseBands`. Otherwise a line of results is computed from k
/// lines of what it reads, each read once for every tap row with what is pending on it; the two directions differ in the
/// table of which pixel a tap sees (`Taps`).
///
/// Precision: operands as stored and weights rounded to storage (to bfloat16 neither: nothing would be gained), products and
/// sums in the accumulator in the order of the taps. W̄ is summed in the accumulator over a group of four images, in float64
/// and exactly (see `ParameterGradients`) over groups, so that neither threads nor ranks change a bit of it. Collectives:
/// none; W̄ is a local sum that the gradient reduction adds up over ranks.
package final class DepthwiseConvolution<E: Element>: LinearMap {
  package typealias A = E.Accumulator
  package let geometry: Geometry
  package let weight: ParameterLayout.Slot
  private let name: String
  /// The working weights, [kernel row][kernel column][channel], and behind them those of the kernel turned by half a turn.
  private var working: Buffer<A>?

  /// Tensor `<name>.weight`, channels × 1 × kernel × kernel.
  package init(_ layout: inout ParameterLayout, _ name: String, channels: Int, kernel: Int = 3, stride: Int = 1) {
    precondition(kernel % 2 == 1)
    geometry = Geometry(
      inputs: channels, outputs: channels, kernel: kernel, stride: stride, padding: kernel / 2, groups: channels)
    self.name = name
    weight = layout.add(name + ".weight", .convolution, shape: [channels, 1, kernel, kernel])
  }

  package func express(_ x: InferenceGraph.Value, in graph: InferenceGraph) -> InferenceGraph.Value {
    graph.convolution(x, graph.parameter(weight), nil, geometry)
  }

  package var slots: [ParameterLayout.Slot] { [weight] }
  package var keptBytes: Int { working?.bytes ?? 0 }
  private var channels: Int { geometry.inputs }

  package func pack(_ values: Buffer<A>, backward: Bool, _ context: Context<E>) {
    let working = working ?? Buffer<A>(count: 2 * weight.count)
    self.working = working
    context.workers.work.move(.weights, weight.count * MemoryLayout<A>.size + working.bytes)
    guard !context.workers.isRehearsal else { return }
    for i in 0..<weight.count {
      let value = A(E(values[weight.range.lowerBound + i])), tap = i / channels
      working[i] = value
      working[weight.count + (weight.count / channels - 1 - tap) * channels + i % channels] = value
    }
  }

  /// Whether `DepthwiseBands` is for it.
  private var hasBands: Bool { geometry.kernel == 3 && geometry.stride == 1 }

  package func forward(_ x: Operand<E>, _ parameters: Parameters<A>, _ epilogue: Epilogue<E>, _ context: Context<E>)
    -> Sums
  {
    run(.forward, x, epilogue, context) { forwardTaps(x.shape, epilogue.out.shape) }
  }

  package func forwardTangent(_ xDot: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    run(.tangent, xDot, epilogue, context) { forwardTaps(xDot.shape, epilogue.out.shape) }
  }

  package func backwardData(_ yBar: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>) -> Sums {
    let (stride, padding) = (geometry.stride, geometry.padding)
    precondition(yBar.shape == geometry.outputShape(epilogue.out.shape))
    return run(.backwardData, yBar, epilogue, context) {
      Taps(geometry.kernel, from: yBar.shape, to: epilogue.out.shape) { input, tap in
        let output = input + padding - tap
        return output % stride == 0 ? output / stride : -1
      }
    }
  }

  private func forwardTaps(_ input: Shape, _ output: Shape) -> Taps {
    precondition(output == geometry.outputShape(input))
    let (stride, padding) = (geometry.stride, geometry.padding)
    return Taps(geometry.kernel, from: input, to: output) { output, tap in output * stride + tap - padding }
  }

  /// Σ over taps of w∘operand, finished by the epilogue.
  private func run(
    _ pass: Work.Pass, _ operand: Operand<E>, _ epilogue: Epilogue<E>, _ context: Context<E>, _ taps: () -> Taps
  ) -> Sums {
    let working = working, out = epilogue.out.shape, kernels = context.kernels
    context.workers.work.move(.activations, operand.bytes)
    context.workers.work.move(.weights, keptBytes)
    let multiplyAdds = geometry.multiplyAdds(pass == .backwardData ? out : operand.shape)
    if hasBands {
      let weights = working.map { $0.pointer + (pass == .backwardData ? weight.count : 0) }
      return record(pass, multiplyAdds, context) {
        let sums = DepthwiseBands(operand, kernels).run(weights, epilogue, context)
        withExtendedLifetime((operand, working)) {}
        return sums
      }
    }
    let taps = taps(), lines = TapLines(operand, taps, out, context)
    return record(pass, multiplyAdds, context) {
      RowStore.run(epilogue, lines: out.images * out.height, columns: out.width, context) { line, rows in
        lines.withLines(of: line) { sources in
          kernels.depthwise(
            lines: sources, kernel: taps.kernel, from: taps.columns, columns: out.width,
            weights: after("packing", working).pointer, channels: channels, into: rows)
        }
        return channels
      }
    }
  }

  package func backwardWeights(
    _ x: Operand<E>, _ yBar: Operand<E>, tangent: (x: Operand<E>, yBar: Operand<E>)?,
    into gradients: ParameterGradients, _ context: Context<E>
  ) {
    let output = yBar.shape, operands = [(x: x, yBar: yBar)] + (tangent.map { [$0] } ?? [])
    let size = WeightGradients.groupImages, groups = (output.images + size - 1) / size
    let sums = Buffer<A>(count: groups * weight.count), kernels = context.kernels
    context.workers.work.move(.activations, operands.reduce(0) { $0 + $1.x.bytes + $1.yBar.bytes })
    context.workers.work.move(.weights, groups * (2 * sums.bytes + 2 * weight.count * MemoryLayout<Double>.size))
    record(.backwardWeights, operands.count * geometry.multiplyAdds(x.shape), context) {
      if hasBands {
        let terms = operands.map { (bands: DepthwiseBands($0.x, kernels), gradient: $0.yBar.view(.exact)) }
        context.workers.reserveScratch(bytes: terms[0].bands.scratchBytes)
        context.workers.parallelFor(groups) { group, worker in
          for image in group * size..<min(output.images, (group + 1) * size) {
            for term in terms {
              term.bands.addWeights(
                image..<image + 1, term.gradient, into: sums.pointer + group * weight.count,
                context.workers.scratch(worker))
            }
          }
        }
      } else {
        addWeights(operands, size, groups, into: sums, context)
      }
      guard !context.workers.isRehearsal else { return }
      for group in 0..<groups {
        kernels.add(
          sums.pointer + group * weight.count, weight.count,
          rounding: gradients.grid.rounding(at: weight.range.lowerBound),
          into: gradients.values.pointer + weight.range.lowerBound)
      }
    }
    withExtendedLifetime(operands) {}
  }

  /// W̄ of each group of images, line by line.
  private func addWeights(
    _ operands: [(x: Operand<E>, yBar: Operand<E>)], _ size: Int, _ groups: Int, into sums: Buffer<A>,
    _ context: Context<E>
  ) {
    let output = operands[0].yBar.shape, taps = forwardTaps(operands[0].x.shape, output), kernels = context.kernels
    let terms = operands.map { (lines: TapLines($0.x, taps, output, context), gradient: $0.yBar.view(.exact)) }
    let channels = channels
    context.workers.reserveScratch(bytes: output.width * channels * MemoryLayout<A>.size)
    context.workers.parallelFor(groups) { group, worker in
      let rows = context.workers.scratch(worker).assumingMemoryBound(to: A.self),
        sum = sums.pointer + group * weight.count
      for image in group * size..<min(output.images, (group + 1) * size) {
        for term in terms {
          for line in image * output.height..<(image + 1) * output.height {
            kernels.read(
              term.gradient, image: image, pixel: line * output.width, output.width, channels: channels, into: rows)
            term.lines.withLines(of: line) { sources in
              kernels.depthwiseWeights(
                lines: sources, kernel: taps.kernel, from: taps.columns, columns: output.width, gradient: rows,
                channels: channels, into: sum)
            }
          }
        }
      }
    }
  }

  /// Counts the multiply-adds of a pass and times it.
  private func record<T>(_ pass: Work.Pass, _ multiplyAdds: Int, _ context: Context<E>, _ body: () -> T) -> T {
    context.workers.work.add(pass, multiplyAdds)
    return context.workers.timeline.measure(.convolution, "\(name) \(pass.rawValue)", body)
  }
}

/// Which pixel each tap of a result sees: rows × kernel and columns × kernel, −1 where it sees none.
private struct Taps {
  let kernel: Int
  let rows: [Int32], columns: [Int32]

  /// `source`: from a row (or column) of the result and a tap.
  init(_ kernel: Int, from input: Shape, to output: Shape, _ source: (_ position: Int, _ tap: Int) -> Int) {
    func table(_ outputs: Int, _ inputs: Int) -> [Int32] {
      (0..<outputs * kernel).map { index in
        let position = source(index / kernel, index % kernel)
        return 0 <= position && position < inputs ? Int32(position) : -1
      }
    }
    self.kernel = kernel
    (rows, columns) = (table(output.height, input.height), table(output.width, input.width))
  }
}

/// The lines of an operand that a line of results is computed from, a line for every tap row.
private struct TapLines<E: Element> {
  private let operand: Operand<E>, taps: Taps, view: OperandView<E>, kernels: Kernels<E>
  /// Of the results.
  private let height: Int

  init(_ operand: Operand<E>, _ taps: Taps, _ output: Shape, _ context: Context<E>) {
    (self.operand, self.taps, height) = (operand, taps, output.height)
    view = operand.view(.exact)
    kernels = context.kernels
  }

  /// body(accumulators of each tap row's line, NULL where it sees none); valid inside.
  func withLines(of line: Int, _ body: (UnsafePointer<UnsafeRawPointer?>) -> Void) {
    let shape = operand.shape, image = line / height, row = line % height
    let bytes = (shape.width * shape.channels * MemoryLayout<E.Accumulator>.size + 63) / 64 * 64
    withUnsafeTemporaryAllocation(byteCount: taps.kernel * bytes, alignment: 64) { scratch in
      withUnsafeTemporaryAllocation(of: UnsafeRawPointer?.self, capacity: taps.kernel) { pointers in
        for tap in 0..<taps.kernel {
          let source = Int(taps.rows[row * taps.kernel + tap]), rows = scratch.baseAddress! + tap * bytes
          if source >= 0 {
            kernels.read(
              view, image: image, pixel: (image * shape.height + source) * shape.width, shape.width,
              channels: shape.channels, into: rows.assumingMemoryBound(to: E.Accumulator.self))
          }
          pointers.initializeElement(at: tap, to: source >= 0 ? UnsafeRawPointer(rows) : nil)
        }
        body(pointers.baseAddress!)
      }
    }
  }
}
