import Tensors

/// What layers are expressed in.
extension InferenceGraph {
  // MARK: - Elements

  /// With what is broadcast: N×C×1×1, N×1×H×W, N×C.
  private func elementwise(_ operation: String, _ a: Value, _ b: Value) -> Value {
    add(operation, [a.name, b.name], extent: zip(a.extent, b.extent).map { max($0, $1) })
  }

  package func sum(_ a: Value, _ b: Value) -> Value { elementwise("Add", a, b) }
  package func product(_ a: Value, _ b: Value) -> Value { elementwise("Mul", a, b) }
  package func quotient(_ a: Value, _ b: Value) -> Value { elementwise("Div", a, b) }

  /// x + c, x·c, max(x, c), x^c and so on with a number c.
  package func with(_ number: Double, _ operation: String, _ x: Value) -> Value {
    add(operation, [x.name, self.number(number)], extent: x.extent)
  }

  package func rectified(_ x: Value) -> Value { add("Relu", [x.name], extent: x.extent) }
  package func sigmoid(_ x: Value) -> Value { add("Sigmoid", [x.name], extent: x.extent) }
  package func root(_ x: Value) -> Value { add("Sqrt", [x.name], extent: x.extent) }

  /// The images, as bytes of 0 to 255, normalized as the network was trained on them.
  package func normalized(_ x: Value) -> Value {
    let mean = constant("normalization.mean", [1, 3, 1, 1]) { .numbers(ImageNet.mean.map { 255 * Double($0) }) }
    let deviation = constant("normalization.deviation", [1, 3, 1, 1]) {
      .numbers(ImageNet.deviation.map { 255 * Double($0) })
    }
    let centred = add("Sub", [x.name, mean], extent: x.extent)
    return add("Div", [centred.name, deviation], extent: x.extent)
  }

  // MARK: - Windows

  /// A 1×1 on features is a linear layer.
  package func convolution(_ x: Value, _ weight: String, _ bias: String?, _ geometry: Geometry) -> Value {
    let inputs = [x.name, weight] + (bias.map { [$0] } ?? [])
    guard x.extent.count > 1 else {
      return add("Gemm", inputs, extent: [geometry.outputs], [("transB", .integer(1))])
    }
    let output = geometry.outputShape(Shape(1, x.height, x.width, x.channels)), sides = 2
    return add(
      "Conv", inputs, extent: [output.channels, output.height, output.width],
      [
        ("kernel_shape", .integers([Int](repeating: geometry.kernel, count: sides))),
        ("strides", .integers([Int](repeating: geometry.stride, count: sides))),
        ("pads", .integers([Int](repeating: geometry.padding, count: 2 * sides))),
        ("group", .integer(geometry.groups)),
      ])
  }

  /// Of k×k pixels side by side.
  package func windowMeans(_ x: Value, rows: Int, columns: Int) -> Value {
    add(
      "AveragePool", [x.name], extent: [x.channels, x.height / rows, x.width / columns],
      [("kernel_shape", .integers([rows, columns])), ("strides", .integers([rows, columns]))])
  }

  /// Nearest, as `Upsample` has it: pixel i of H reads ⌊i·h/H⌋.
  package func upsampled(_ x: Value, height: Int, width: Int) -> Value {
    if x.height == height && x.width == width { return x }
    let extent = [x.channels, height, width]
    if height % x.height == 0 && width % x.width == 0 {
      let scales = constant("scales.\(height / x.height)x\(width / x.width)", [4]) {
        .numbers([1, 1, Double(height / x.height), Double(width / x.width)])
      }
      return add(
        "Resize", [x.name, "", scales], extent: extent,
        [
          ("mode", .text("nearest")), ("coordinate_transformation_mode", .text("asymmetric")),
          ("nearest_mode", .text("floor")),
        ])
    }
    // Quotients that are not whole are rounded by whoever runs it; indices are not.
    func sources(_ inputs: Int, _ outputs: Int) -> String { integers((0..<outputs).map { $0 * inputs / outputs }) }
    let rows = add(
      "Gather", [x.name, sources(x.height, height)], extent: [x.channels, height, x.width], [("axis", .integer(2))])
    return add("Gather", [rows.name, sources(x.width, width)], extent: extent, [("axis", .integer(3))])
  }

  // MARK: - Means and parts

  /// Over the pixels of an image, a map of one pixel.
  package func means(_ x: Value) -> Value { reduced("ReduceMean", x, keeping: true) }
  /// The same as a feature.
  package func pooledMeans(_ x: Value) -> Value { reduced("ReduceMean", x, keeping: false) }
  package func pooledMaxima(_ x: Value) -> Value { reduced("ReduceMax", x, keeping: false) }

  private func reduced(_ operation: String, _ x: Value, keeping: Bool) -> Value {
    add(
      operation, [x.name], extent: keeping ? [x.channels, 1, 1] : [x.channels],
      [("axes", .integers([2, 3])), ("keepdims", .integer(keeping ? 1 : 0))])
  }

  /// `range` of the channels (axis 1) or rows (2).
  package func part(_ x: Value, axis: Int, _ range: Range<Int>) -> Value {
    var extent = x.extent
    extent[axis - 1] = range.count
    let inputs = [x.name, integers([range.lowerBound]), integers([range.upperBound]), integers([axis])]
    return add("Slice", inputs, extent: extent)
  }

  /// Channels one after the other.
  package func joined(_ parts: [Value]) -> Value {
    guard parts.count > 1 else { return parts[0] }
    let channels = parts.reduce(0) { $0 + $1.channels }
    return add(
      "Concat", parts.map(\.name), extent: [channels] + parts[0].extent.dropFirst(), [("axis", .integer(1))])
  }

  // MARK: - Matrices

  /// C × pixels of a map.
  package func matrix(_ x: Value) -> Value { reshaped(x, [x.channels, x.area]) }

  /// N × extent.
  package func reshaped(_ x: Value, _ extent: [Int]) -> Value {
    // 0: as it is.
    add("Reshape", [x.name, integers([0] + extent)], extent: extent)
  }

  package func transposed(_ x: Value) -> Value {
    add("Transpose", [x.name], extent: x.extent.reversed(), [("perm", .integers([0, 2, 1]))])
  }

  package func matrixProduct(_ a: Value, _ b: Value) -> Value {
    add("MatMul", [a.name, b.name], extent: [a.extent[0], b.extent[1]])
  }

  /// Of each row.
  package func softmax(_ x: Value) -> Value { add("Softmax", [x.name], extent: x.extent, [("axis", .integer(-1))]) }

  /// √(Σ x² + 10⁻¹²) over the rows of a matrix: 1 × columns.
  package func lengths(_ x: Value) -> Value {
    let mean = add(
      "ReduceMean", [product(x, x).name], extent: [1, x.extent[1]],
      [("axes", .integers([1])), ("keepdims", .integer(1))])
    return root(with(1e-12, "Add", with(Double(x.extent[0]), "Mul", mean)))
  }

  /// Of a row.
  package func rowMean(_ x: Value) -> Value {
    add(
      "ReduceMean", [x.name], extent: [x.extent[0], 1],
      [("axes", .integers([2])), ("keepdims", .integer(1))])
  }
}
