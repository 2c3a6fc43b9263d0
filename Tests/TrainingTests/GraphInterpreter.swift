import Foundation
import Layers

/// Computes an `InferenceGraph` in float64, word for word as ONNX's specification defines its operators, in the slowest way.
struct GraphInterpreter {
  struct Array {
    let shape: [Int], values: [Double], strides: [Int]

    /// Of every element, in order.
    func forEachIndex(_ body: ([Int]) -> Void) {
      var index = [Int](repeating: 0, count: shape.count)
      for _ in 0..<shape.reduce(1, *) {
        body(index)
        for axis in shape.indices.reversed() {
          index[axis] += 1
          if index[axis] < shape[axis] { break }
          index[axis] = 0
        }
      }
    }

    subscript(index: [Int]) -> Double {
      var place = 0
      for (axis, i) in index.enumerated() { place += i * strides[axis] }
      return values[place]
    }

    init(_ shape: [Int], _ values: [Double]) {
      var strides = [Int](repeating: 1, count: shape.count)
      for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
      (self.shape, self.values, self.strides) = (shape, values, strides)
    }

    init(_ shape: [Int], _ element: ([Int]) -> Double) {
      var found: [Double] = []
      Array(shape, []).forEachIndex { found.append(element($0)) }
      self.init(shape, found)
    }
  }

  struct Unknown: Error { let operation: String }

  /// `images`: of the graph's size.
  static func run(_ graph: InferenceGraph, images: Array, output: String) throws -> Array {
    var arrays = [graph.images.name: images], integers: [String: [Int]] = [:]
    for constant in graph.constants {
      switch constant.elements {
      case .numbers(let values): arrays[constant.name] = Array(constant.shape, values)
      case .integers(let values): integers[constant.name] = values
      }
    }
    for node in graph.nodes {
      let inputs = node.inputs.compactMap { arrays[$0] }, numbers = node.inputs.compactMap { integers[$0] }
      arrays[node.output] = try evaluate(node, inputs, numbers)
    }
    return arrays[output]!
  }

  private static func evaluate(_ node: InferenceGraph.Node, _ x: [Array], _ integers: [[Int]]) throws -> Array {
    func list(_ name: String) -> [Int] {
      for case (name, .integers(let values)) in node.attributes { return values }
      return []
    }
    func integer(_ name: String) -> Int? {
      for case (name, .integer(let value)) in node.attributes { return value }
      return nil
    }
    switch node.operation {
    case "Identity": return x[0]
    case "Relu": return Array(x[0].shape, x[0].values.map { max(0, $0) })
    case "PRelu": return broadcast(x[0], x[1]) { $0 < 0 ? $0 * $1 : $0 }
    case "Sigmoid": return Array(x[0].shape, x[0].values.map { 1 / (1 + exp(-$0)) })
    case "Sqrt": return Array(x[0].shape, x[0].values.map { $0.squareRoot() })
    case "Add": return broadcast(x[0], x[1], +)
    case "Sub": return broadcast(x[0], x[1], -)
    case "Mul": return broadcast(x[0], x[1], *)
    case "Div": return broadcast(x[0], x[1], /)
    case "Max": return broadcast(x[0], x[1]) { max($0, $1) }
    case "Pow": return broadcast(x[0], x[1]) { pow($0, $1) }
    case "Conv": return convolution(x, strides: list("strides"), pads: list("pads"), groups: integer("group") ?? 1)
    case "Gemm":
      return Array([x[0].shape[0], x[1].shape[0]]) { at in
        (0..<x[0].shape[1]).reduce(x.count > 2 ? x[2].values[at[1]] : 0) {
          $0 + x[0][[at[0], $1]] * x[1][[at[1], $1]]
        }
      }
    case "BatchNormalization":
      return Array(x[0].shape) { at in
        let c = at[1]
        return (x[0][at] - x[3].values[c]) / (x[4].values[c] + 1e-5).squareRoot() * x[1].values[c] + x[2].values[c]
      }
    case "InstanceNormalization": return instanceNorm(x)
    case "MaxPool", "AveragePool":
      return pool(
        x[0], kernel: list("kernel_shape"), strides: list("strides"), pads: list("pads"),
        ceil: integer("ceil_mode") == 1, isMax: node.operation == "MaxPool")
    case "ReduceMean", "ReduceMax":
      return reduce(
        x[0], axes: list("axes"), keeping: integer("keepdims") != 0, isMax: node.operation == "ReduceMax")
    case "Resize":
      let scales = x[1].values
      return Array(zip(x[0].shape, scales).map { Int(Double($0) * $1) }) { at in
        x[0][zip(at, scales).map { Int(floor(Double($0) / $1)) }]
      }
    case "Gather":
      let axis = integer("axis")!
      var shape = x[0].shape
      shape[axis] = integers[0].count
      return Array(shape) { at in
        var source = at
        source[axis] = integers[0][at[axis]]
        return x[0][source]
      }
    case "Slice":
      var shape = x[0].shape
      let (start, end, axis) = (integers[0][0], integers[1][0], integers[2][0])
      shape[axis] = end - start
      return Array(shape) { at in
        var source = at
        source[axis] += start
        return x[0][source]
      }
    case "Concat": return concatenated(x, axis: integer("axis")!)
    case "Reshape":
      return Array(integers[0].enumerated().map { $1 == 0 ? x[0].shape[$0] : $1 }, x[0].values)
    case "Transpose":
      let order = list("perm")
      return Array(order.map { x[0].shape[$0] }) { at in
        var source = at
        for (to, from) in order.enumerated() { source[from] = at[to] }
        return x[0][source]
      }
    case "MatMul": return matrixProduct(x[0], x[1])
    case "Softmax":
      return Array(x[0].shape) { at in
        let row = (0..<x[0].shape.last!).map { x[0][at.dropLast() + [$0]] }, largest = row.max()!
        return exp(x[0][at] - largest) / row.reduce(0) { $0 + exp($1 - largest) }
      }
    default: throw Unknown(operation: node.operation)
    }
  }

  private static func broadcast(_ a: Array, _ b: Array, _ operation: (Double, Double) -> Double) -> Array {
    let rank = max(a.shape.count, b.shape.count)
    func aligned(_ x: Array) -> Array {
      Array([Int](repeating: 1, count: rank - x.shape.count) + x.shape, x.values)
    }
    let (a, b) = (aligned(a), aligned(b))
    return Array(zip(a.shape, b.shape).map { max($0, $1) }) { at in
      operation(a[zip(at, a.shape).map { min($0, $1 - 1) }], b[zip(at, b.shape).map { min($0, $1 - 1) }])
    }
  }

  /// Of one or two dimensions of space.
  private static func convolution(_ x: [Array], strides: [Int], pads: [Int], groups: Int) -> Array {
    guard x[0].shape.count == 4 else {
      func widened(_ x: Array) -> Array { Array([x.shape[0], x.shape[1], 1, x.shape[2]], x.values) }
      let y = convolution(
        [widened(x[0]), widened(x[1])] + x.dropFirst(2), strides: [1, strides.first ?? 1],
        pads: [0, pads[0], 0, pads[1]], groups: groups)
      return Array([y.shape[0], y.shape[1], y.shape[3]], y.values)
    }
    let (input, weight) = (x[0], x[1]), kernel = weight.shape[2...]
    let sizes = (0..<2).map { axis in
      let span: Int = input.shape[axis + 2] + pads[axis] + pads[axis + 2] - weight.shape[axis + 2]
      return span / strides[axis] + 1
    }
    let outputs = weight.shape[0], perGroup = weight.shape[1]
    return Array([input.shape[0], outputs] + sizes) { at in
      var sum = x.count > 2 ? x[2].values[at[1]] : 0
      let first = at[1] / (outputs / groups) * perGroup
      for row in 0..<kernel[2] {
        let i = at[2] * strides[0] + row - pads[0]
        guard (0..<input.shape[2]).contains(i) else { continue }
        for column in 0..<kernel[3] {
          let j = at[3] * strides[1] + column - pads[1]
          guard (0..<input.shape[3]).contains(j) else { continue }
          var from = at[0] * input.strides[0] + first * input.strides[1] + i * input.strides[2] + j
          var by = at[1] * weight.strides[0] + row * weight.strides[2] + column
          for _ in 0..<perGroup {
            sum += input.values[from] * weight.values[by]
            from += input.strides[1]
            by += weight.strides[1]
          }
        }
      }
      return sum
    }
  }

  private static func instanceNorm(_ x: [Array]) -> Array {
    let input = x[0], area = input.shape[2...].reduce(1, *)
    var values = input.values
    for row in 0..<input.shape[0] * input.shape[1] {
      let range = row * area..<(row + 1) * area, c = row % input.shape[1]
      let mean = input.values[range].reduce(0, +) / Double(area)
      let variance = input.values[range].reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(area)
      for i in range {
        values[i] = (values[i] - mean) / (variance + 1e-5).squareRoot() * x[1].values[c] + x[2].values[c]
      }
    }
    return Array(input.shape, values)
  }

  private static func pool(
    _ x: Array, kernel: [Int], strides: [Int], pads: [Int], ceil isCeil: Bool, isMax: Bool
  ) -> Array {
    let pads = pads.isEmpty ? [0, 0, 0, 0] : pads
    let sizes = (0..<2).map { axis in
      let span = Double(x.shape[axis + 2] + pads[axis] + pads[axis + 2] - kernel[axis]) / Double(strides[axis])
      return Int(isCeil ? span.rounded(.up) : span.rounded(.down)) + 1
    }
    return Array([x.shape[0], x.shape[1]] + sizes) { at in
      var seen: [Double] = []
      for row in 0..<kernel[0] {
        for column in 0..<kernel[1] {
          let i = at[2] * strides[0] + row - pads[0], j = at[3] * strides[1] + column - pads[1]
          if (0..<x.shape[2]).contains(i) && (0..<x.shape[3]).contains(j) { seen.append(x[[at[0], at[1], i, j]]) }
        }
      }
      return isMax ? seen.max()! : seen.reduce(0, +) / Double(seen.count)
    }
  }

  private static func reduce(_ x: Array, axes: [Int], keeping: Bool, isMax: Bool) -> Array {
    let kept = x.shape.enumerated().map { axes.contains($0) ? 1 : $1 }
    let reduced = Array(axes.map { x.shape[$0] }, [])
    let result = Array(kept) { at in
      var seen: [Double] = []
      reduced.forEachIndex { index in
        var source = at
        for (axis, place) in zip(axes, index) { source[axis] = place }
        seen.append(x[source])
      }
      return isMax ? seen.max()! : seen.reduce(0, +) / Double(seen.count)
    }
    return keeping ? result : Array(x.shape.indices.filter { !axes.contains($0) }.map { x.shape[$0] }, result.values)
  }

  private static func concatenated(_ x: [Array], axis: Int) -> Array {
    var shape = x[0].shape
    shape[axis] = x.reduce(0) { $0 + $1.shape[axis] }
    return Array(shape) { at in
      var source = at
      for part in x {
        if source[axis] < part.shape[axis] { return part[source] }
        source[axis] -= part.shape[axis]
      }
      return .nan
    }
  }

  /// Batch dimensions are broadcast.
  private static func matrixProduct(_ a: Array, _ b: Array) -> Array {
    let batch = a.shape.count > b.shape.count ? a.shape.dropLast(2) : b.shape.dropLast(2)
    func index(_ batch: [Int], _ x: Array, _ row: Int, _ column: Int) -> [Int] {
      Swift.Array(batch.suffix(x.shape.count - 2)) + [row, column]
    }
    let inner = a.shape[a.shape.count - 1]
    return Array(batch + [a.shape[a.shape.count - 2], b.shape[b.shape.count - 1]]) { at in
      let place = Swift.Array(at.dropLast(2)), (row, column) = (at[at.count - 2], at[at.count - 1])
      return (0..<inner).reduce(0) { $0 + a[index(place, a, row, $1)] * b[index(place, b, $1, column)] }
    }
  }
}
