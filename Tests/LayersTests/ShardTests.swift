import Kernels
import Tensors
import Testing

/// Uneven shards over several ranks, an empty one among them, equal one rank with the whole batch, in both halves of
/// every layer's passes.
@Suite struct ShardTests {
  private static let shares = [[2, 3], [2, 0, 3], [1, 1, 0, 3]]

  @Test(arguments: LayerCases.all, Course.halves) func float64(_ layer: any LayerCase, _ passes: Course) throws {
    try checkDouble(layer, passes)
  }

  private func checkDouble(_ layer: some LayerCase, _ passes: Course) throws {
    let values = Values(layer, images: 5)
    let one = try outcome(layer, Double.self, values, passes)
    for counts in Self.shares {
      let many = try sharded(layer, Double.self, values, passes, counts, path: .blas)
      let what = "\(layer.name), \(passes), over \(counts)"
      #expect(relativeError(many.y, one.y) < 1e-12, "\(what): y")
      for (i, gradient) in many.inputs.enumerated() {
        #expect(relativeError(gradient, one.inputs[i]) < 1e-12, "\(what): input \(i)")
      }
      #expect(relativeError(many.allParameters, one.allParameters) < 1e-12, "\(what): parameters")
    }
  }

  @Test(arguments: LayerCases.all, Course.halves) func float32(_ layer: any LayerCase, _ passes: Course) throws {
    try checkNarrow(layer, passes, Float.self, 1e-5)
  }
  @Test(arguments: LayerCases.all, Course.halves) func float16(_ layer: any LayerCase, _ passes: Course) throws {
    try checkNarrow(layer, passes, Float16.self, 1e-4)
  }

  /// Activations and tangents to the last bit: then no gate flips. Gradients of inputs may differ where a coefficient
  /// was rounded the other way, those of parameters because partial sums are rounded.
  private func checkNarrow<E: Element>(_ layer: some LayerCase, _ passes: Course, _: E.Type, _ tolerance: Double) throws
  {
    let values = Values(layer, images: 5)
    for path in KernelPath.available {
      let one = try outcome(layer, E.self, values, passes, path: path)
      for counts in Self.shares {
        let many = try sharded(layer, E.self, values, passes, counts, path: path)
        let what = "\(layer.name), \(passes), on \(path) over \(counts)"
        #expect(many.y == one.y, "\(what): y")
        for (i, gradient) in many.inputs.enumerated() {
          #expect(relativeError(gradient, one.inputs[i]) < tolerance, "\(what): input \(i)")
        }
        #expect(relativeError(many.allParameters, one.allParameters) < tolerance, "\(what): parameters")
      }
    }
  }

  /// Where shares are whole groups of four images (the last may be cut short), all is the same to the last bit.
  @Test(arguments: LayerCases.all, Course.halves) func wholeGroupsChangeNoBit(
    _ layer: any LayerCase, _ passes: Course
  ) throws {
    try checkGroups(layer, passes, Float.self)
    try checkGroups(layer, passes, Float16.self)
  }

  private func checkGroups<E: Element>(_ layer: some LayerCase, _ passes: Course, _: E.Type) throws {
    let values = Values(layer, images: 10)
    for path in KernelPath.available {
      let one = try outcome(layer, E.self, values, passes, path: path)
      for counts in [[4, 6], [8, 0, 2], [4, 4, 0, 2]] {
        let many = try sharded(layer, E.self, values, passes, counts, path: path)
        let what = "\(layer.name), \(E.self), \(passes), on \(path) over \(counts)"
        #expect(many.y == one.y, "\(what): y")
        #expect(many.inputs == one.inputs, "\(what): inputs")
        #expect(many.parameters == one.parameters, "\(what): parameters")
      }
    }
  }

  /// Likewise with operands of bfloat16, in one plane or two; nor do threads.
  @Test(
    arguments: LayerCases.all.filter {
      $0 is ConvolutionCase || $0 is NormalizedConvolutionCase || $0 is BottleneckCase
    },
    TestedKernels.narrow)
  func narrowOperandsChangeNoBit(_ layer: any LayerCase, _ tested: TestedKernels) throws {
    try checkNarrowOperands(layer, tested, Float.self)
    try checkNarrowOperands(layer, tested, Float16.self)
  }

  private func checkNarrowOperands<E: Element>(_ layer: some LayerCase, _ tested: TestedKernels, _: E.Type) throws
  where E.Accumulator == Float {
    let values = Values(layer, images: 10), kernels = tested.kernels(E.self)
    for passes in Course.halves {
      let what = "\(layer.name), \(E.self), \(passes), on \(tested.testDescription)"
      let one = try outcome(layer, kernels, values, passes)
      let threads = try outcome(layer, kernels, values, passes, threads: 3)
      #expect(threads.y == one.y && threads.inputs == one.inputs, "\(what): threads")
      for counts in [[4, 6], [4, 4, 0, 2]] {
        let many = try sharded(layer, kernels, values, passes, counts)
        #expect(many.y == one.y, "\(what) over \(counts): y")
        #expect(many.inputs == one.inputs, "\(what) over \(counts): inputs")
        #expect(many.parameters == one.parameters, "\(what) over \(counts): parameters")
      }
    }
  }

  /// Threads change neither the outputs nor the gradients of the inputs.
  @Test(arguments: LayerCases.all, Course.halves) func threads(_ layer: any LayerCase, _ passes: Course) throws {
    try checkThreads(layer, passes)
  }

  private func checkThreads(_ layer: some LayerCase, _ passes: Course) throws {
    let values = Values(layer, images: 5)
    for path in KernelPath.available {
      let one = try outcome(layer, Float16.self, values, passes, path: path)
      let three = try outcome(layer, Float16.self, values, passes, path: path, threads: 3)
      let what = "\(layer.name), \(passes), on \(path)"
      #expect(three.y == one.y && three.inputs == one.inputs, "\(what)")
      let again = try outcome(layer, Float16.self, values, passes, path: path, threads: 3)
      #expect(again.parameters == three.parameters, "\(what): not a matter of timing")
    }
  }
}
