import Tensors

/// A network as evaluation computes it, in ONNX's operators, for images of one size: what other programs can run.
///
/// Every layer adds its own equations (`Layer.express`) with its parameters; what only training does is left out. Maps are
/// N×C×H×W there, features N×C; N stays open. Nothing is computed here.
package final class InferenceGraph {
  /// Of ONNX's operators.
  package static let opset = 17

  /// What a node gives, or the images.
  package struct Value: Sendable {
    package let name: String
    /// Behind the N: C, H, W of a map, C of a feature, rows and columns of matrices.
    package let extent: [Int]

    package var channels: Int { extent[0] }
    package var height: Int { extent[1] }
    package var width: Int { extent[2] }
    package var area: Int { height * width }
  }

  package enum Attribute: Sendable, Equatable {
    case integer(Int), integers([Int]), number(Double), text(String)
  }

  package struct Node: Sendable {
    package let operation: String
    /// Of values and constants.
    package let inputs: [String]
    package let output: String
    package let attributes: [(name: String, value: Attribute)]
  }

  package struct Constant: Sendable {
    package enum Elements: Sendable { case numbers([Double]), integers([Int]) }

    package let name: String
    package let shape: [Int]
    package let elements: Elements
  }

  /// N×3×H×W.
  package let images: Value
  /// In an order in which each comes after what it reads.
  package private(set) var nodes: [Node] = []
  package private(set) var constants: [Constant] = []
  private var known: [String: Int] = [:]
  private let values: Buffer<Double>, statistics: Buffer<Double>

  /// Of images of height × width; `parameters` are the network's.
  package init<A: Element>(_ parameters: Parameters<A>, height: Int, width: Int) {
    func widened(_ buffer: Buffer<A>) -> Buffer<Double> {
      let values = Buffer<Double>(count: buffer.count)
      for i in 0..<buffer.count { values[i] = Double(buffer[i]) }
      return values
    }
    images = Value(name: "images", extent: [3, height, width])
    (values, statistics) = (widened(parameters.values), widened(parameters.statistics))
  }

  /// A node with one output, by the name of `output` where it is to have one of its own.
  package func add(
    _ operation: String, _ inputs: [String], extent: [Int], _ attributes: [(name: String, value: Attribute)] = [],
    as output: String? = nil
  ) -> Value {
    let output = output ?? "\(operation)_\(nodes.count)"
    nodes.append(Node(operation: operation, inputs: inputs, output: output, attributes: attributes))
    return Value(name: output, extent: extent)
  }

  // MARK: - Constants

  /// The name of a constant, made where there is none of that name and shape.
  package func constant(_ name: String, _ shape: [Int], _ elements: () -> Constant.Elements) -> String {
    // A weight may serve a convolution and a linear layer.
    let name = known[name].map { constants[$0].shape == shape } ?? true ? name : "\(name).\(shape.count)d"
    if known[name] == nil {
      known[name] = constants.count
      constants.append(Constant(name: name, shape: shape, elements: elements()))
    }
    return name
  }

  func integers(_ values: [Int]) -> String {
    constant("integers." + values.map(String.init).joined(separator: "_"), [values.count]) { .integers(values) }
  }

  func number(_ value: Double) -> String { constant("number.\(value)", []) { .numbers([value]) } }

  /// A trained tensor, in the order that files have, in `shape` where that is another.
  package func parameter(_ slot: ParameterLayout.Slot, shape: [Int]? = nil) -> String {
    parameter(slot, shape: shape, through: nil)
  }

  func parameter(_ slot: ParameterLayout.Slot, shape: [Int]?, through transform: (any WeightTransform)?) -> String {
    constant(slot.name, shape ?? slot.shape) {
      guard let transform else { return .numbers(ParameterLayout.toFile(slot, values.pointer)) }
      let working = transform.apply(values, Workers(count: 1))
      return .numbers(ParameterLayout.toFile(slot, first: working.pointer))
    }
  }

  package func statistic(_ slot: ParameterLayout.Slot) -> String {
    constant(slot.name, slot.shape) { .numbers(ParameterLayout.toFile(slot, statistics.pointer)) }
  }

  /// The one number of a trained tensor.
  package func scalar(_ slot: ParameterLayout.Slot) -> Double { values[slot.range.lowerBound] }
  /// All of them, in the order of memory.
  package func numbers(_ slot: ParameterLayout.Slot) -> [Double] { slot.range.map { values[$0] } }
}
