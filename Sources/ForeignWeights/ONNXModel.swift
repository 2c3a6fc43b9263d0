import CONNX
import Layers
import Protobuf
import Storage
import Tensors

/// A graph as an ONNX model: float32, any number of images of one size.
package struct ONNXModel {
  private let graph: InferenceGraph, output: InferenceGraph.Value, metadata: [(key: String, value: String)]
  /// Of the file format that goes with `InferenceGraph.opset`.
  private static let version: Int64 = 8

  /// `output`: N×C, called `embedding` there; `metadata` stands in the model's properties.
  package init(
    _ graph: InferenceGraph, output: InferenceGraph.Value, metadata: [(key: String, value: String)]
  ) {
    self.graph = graph
    self.output = graph.add("Identity", [output.name], extent: output.extent, as: "embedding")
    self.metadata = metadata
  }

  package func write(to path: String) throws {
    let storage = MessageStorage()
    let model = storage.message(onnx__model_proto__init) { (model: inout Onnx__ModelProto) in
      model.ir_version = Self.version
      model.producer_name = storage.text("lineup")
      model.graph = storage.message(onnx__graph_proto__init) { fill(&$0, storage) }
      let operators = storage.message(onnx__operator_set_id_proto__init) { (set: inout Onnx__OperatorSetIdProto) in
        set.version = Int64(InferenceGraph.opset)
      }
      (model.n_opset_import, model.opset_import) = (1, storage.list([operators]))
      let properties = metadata.map { key, value in
        storage.message(onnx__string_string_entry_proto__init) { (entry: inout Onnx__StringStringEntryProto) in
          (entry.key, entry.value) = (storage.text(key), storage.text(value))
        }
      }
      (model.n_metadata_props, model.metadata_props) = (properties.count, storage.list(properties))
    }
    let size = onnx__model_proto__get_packed_size(model)
    guard size < Int(Int32.max) else {
      throw Failure.usage(path, "the model takes \(size) bytes; an ONNX file holds 2 GiB")
    }
    let packed = [UInt8](unsafeUninitializedCapacity: size) { $1 = onnx__model_proto__pack(model, $0.baseAddress) }
    withExtendedLifetime(storage) {}
    try AtomicFiles.write(to: path) { file in try packed.withUnsafeBytes { try file.write($0) } }
  }

  private func fill(_ message: inout Onnx__GraphProto, _ storage: MessageStorage) {
    message.name = storage.text("lineup")
    let nodes = graph.nodes.map { node in
      storage.message(onnx__node_proto__init) { Self.fill(&$0, node, storage) }
    }
    (message.n_node, message.node) = (nodes.count, storage.list(nodes))
    let constants = graph.constants.map { constant in
      storage.message(onnx__tensor_proto__init) { Self.fill(&$0, constant, storage) }
    }
    (message.n_initializer, message.initializer) = (constants.count, storage.list(constants))
    (message.n_input, message.input) = (1, storage.list([Self.description(graph.images, storage)]))
    (message.n_output, message.output) = (1, storage.list([Self.description(output, storage)]))
  }

  private static func fill(
    _ message: inout Onnx__NodeProto, _ node: InferenceGraph.Node, _ storage: MessageStorage
  ) {
    func names(_ values: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
      storage.list(values.map { storage.text($0) })
    }
    (message.name, message.op_type) = (storage.text(node.output), storage.text(node.operation))
    (message.n_input, message.input) = (node.inputs.count, names(node.inputs))
    (message.n_output, message.output) = (1, names([node.output]))
    let attributes = node.attributes.map { name, value in
      storage.message(onnx__attribute_proto__init) { (attribute: inout Onnx__AttributeProto) in
        attribute.name = storage.text(name)
        switch value {
        case .integer(let value):
          (attribute.type, attribute.i) = (ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, Int64(value))
        case .integers(let values):
          attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS
          (attribute.n_ints, attribute.ints) = (values.count, storage.list(values.map { Int64($0) }))
        case .number(let value):
          (attribute.type, attribute.f) = (ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, Float(value))
        case .text(let value):
          attribute.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
          attribute.s = storage.bytes(of: Array(value.utf8))
        }
      }
    }
    (message.n_attribute, message.attribute) = (attributes.count, storage.list(attributes))
  }

  private static func fill(
    _ message: inout Onnx__TensorProto, _ constant: InferenceGraph.Constant, _ storage: MessageStorage
  ) {
    message.name = storage.text(constant.name)
    (message.n_dims, message.dims) = (constant.shape.count, storage.list(constant.shape.map { Int64($0) }))
    switch constant.elements {
    case .numbers(let values):
      message.data_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue)
      message.raw_data = storage.bytes(of: values.map { Float($0) })
    case .integers(let values):
      message.data_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__INT64.rawValue)
      message.raw_data = storage.bytes(of: values.map { Int64($0) })
    }
  }

  /// Of the input or output: float32, N×extent with an N of its own.
  private static func description(
    _ value: InferenceGraph.Value, _ storage: MessageStorage
  ) -> UnsafeMutablePointer<Onnx__ValueInfoProto>? {
    typealias Dimension = Onnx__TensorShapeProto__Dimension
    let open = storage.message(onnx__tensor_shape_proto__dimension__init) { (dimension: inout Dimension) in
      dimension.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
      dimension.dim_param = storage.text("batch")
    }
    let fixed = value.extent.map { size in
      storage.message(onnx__tensor_shape_proto__dimension__init) { (dimension: inout Dimension) in
        dimension.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE
        dimension.dim_value = Int64(size)
      }
    }
    let tensor = storage.message(onnx__type_proto__tensor__init) { (tensor: inout Onnx__TypeProto__Tensor) in
      tensor.elem_type = Int32(ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue)
      tensor.shape = storage.message(onnx__tensor_shape_proto__init) { (shape: inout Onnx__TensorShapeProto) in
        (shape.n_dim, shape.dim) = (fixed.count + 1, storage.list([open] + fixed))
      }
    }
    return storage.message(onnx__value_info_proto__init) { (info: inout Onnx__ValueInfoProto) in
      info.name = storage.text(value.name)
      info.type = storage.message(onnx__type_proto__init) { (type: inout Onnx__TypeProto) in
        type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE
        type.tensor_type = tensor
      }
    }
  }
}
