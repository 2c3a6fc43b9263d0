import CONNX
import Storage
import Tensors

/// The initializers of an ONNX model: the weights of its graph.
///
/// The frames of model and graph are walked by hand, and one tensor at a time is decoded, so that a file takes no more
/// memory than its largest tensor does, whatever it says.
enum ONNXFile {
  private static let mostTensors = 1 << 16
  /// Numbers of fields in onnx.proto, of the model and of the graph.
  private static let version: UInt64 = 1, graph: UInt64 = 7, initializer: UInt64 = 5

  /// Whether it begins as a model does, and has a graph.
  static func isLikely(_ file: InputFile) -> Bool {
    guard let fields = try? ProtobufFrame.fields(of: file, 0..<file.size, most: 1 << 12) else { return false }
    return fields.contains { $0.number == graph && $0.isMessage } && fields.contains { $0.number == version }
  }

  static func read(_ file: InputFile) throws -> [ForeignTensor] {
    let models = try ProtobufFrame.fields(of: file, 0..<file.size, most: 1 << 16)
    let graphs = models.filter { $0.number == graph && $0.isMessage }
    guard graphs.count == 1 else { throw Failure.data(file.path, "no ONNX model: it has \(graphs.count) graphs") }
    let places = try ProtobufFrame.fields(of: file, graphs[0].range, most: 1 << 20) {
      $0.number == initializer && $0.isMessage
    }
    guard places.count <= mostTensors else {
      throw Failure.data(file.path, "has \(places.count) initializers, more than the \(mostTensors) that are read")
    }
    return try places.enumerated().map { index, place in
      let tensor = try ONNXTensor(file, place.range, "initializer \(index + 1)")
      let (name, type, shape) = (tensor.name, try tensor.type(), try tensor.shape())
      _ = try tensor.elements(type, shape)
      return ForeignTensor(name, shape: shape, type) {
        try ONNXTensor(file, place.range, "tensor \(name)").elements(type, shape)
      }
    }
  }
}

/// A tensor as protobuf-c has decoded it.
private final class ONNXTensor {
  private let message: UnsafeMutablePointer<Onnx__TensorProto>, path: String
  let name: String

  /// Numbers of fields in onnx.proto whose numbers can take one byte there and eight in memory.
  private static let dimensions: UInt64 = 1, numbers: Set<UInt64> = [5, 7, 11]

  /// - Parameter called: what errors call it before its name is known.
  init(_ file: InputFile, _ range: Range<Int>, _ called: String) throws {
    for field in try ProtobufFrame.fields(of: file, range, most: 1 << 10) {
      let most = field.number == Self.dimensions ? 1 << 10 : Self.numbers.contains(field.number) ? 1 << 26 : Int.max
      guard field.range.count <= most else {
        let what = "its field \(field.number) has \(field.range.count) bytes, more than \(most)"
        throw Failure.data(file.path, "\(called): \(what)")
      }
    }
    try file.requireMemory(2 * range.count)
    var bytes = [UInt8](repeating: 0, count: range.count)
    try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
    guard let message = onnx__tensor_proto__unpack(nil, bytes.count, bytes) else {
      throw Failure.data(file.path, "\(called) is damaged: it is no tensor of ONNX")
    }
    (self.message, path, name) = (message, file.path, String(cString: message.pointee.name))
  }

  deinit { onnx__tensor_proto__free_unpacked(message, nil) }

  private func wrong(_ what: String) -> Failure { .data(path, "tensor \(name) \(what)") }

  func type() throws -> ElementType {
    if message.pointee.data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL
      || message.pointee.n_external_data > 0
    {
      throw wrong("is in another file, which is not read; save the model with its data inside")
    }
    switch UInt32(bitPattern: message.pointee.data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT.rawValue: return .float32
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE.rawValue: return .float64
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16.rawValue: return .float16
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16.rawValue: return .bfloat16
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64.rawValue: return .int64
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32.rawValue: return .int32
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT16.rawValue: return .int16
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT8.rawValue: return .int8
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8.rawValue: return .uint8
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL.rawValue: return .bool
    default: throw wrong("has elements of ONNX's type \(message.pointee.data_type), which is not read")
    }
  }

  func shape() throws -> [Int] {
    try UnsafeBufferPointer(start: message.pointee.dims, count: message.pointee.n_dims).map { length in
      guard let length = Int(exactly: length), length >= 0 else { throw wrong("has a length of \(length)") }
      return length
    }
  }

  func elements(_ type: ElementType, _ shape: [Int]) throws -> StridedElements {
    let tensor = message.pointee
    func bytes<T: BitwiseCopyable>(_ values: UnsafeMutablePointer<T>?, _ count: Int) -> [UInt8] {
      Array(UnsafeRawBufferPointer(UnsafeBufferPointer(start: values, count: count)))
    }
    var stored = type
    let data: [UInt8]
    if tensor.raw_data.len > 0 {
      data = bytes(tensor.raw_data.data, tensor.raw_data.len)
    } else {
      switch type {
      case .float32: data = bytes(tensor.float_data, tensor.n_float_data)
      case .float64: data = bytes(tensor.double_data, tensor.n_double_data)
      case .int64: data = bytes(tensor.int64_data, tensor.n_int64_data)
      case .float16, .bfloat16:
        let numbers = UnsafeBufferPointer(start: tensor.int32_data, count: tensor.n_int32_data)
        data = numbers.map { UInt16(truncatingIfNeeded: $0) }.withUnsafeBytes { Array($0) }
      default: (data, stored) = (bytes(tensor.int32_data, tensor.n_int32_data), .int32)
      }
    }
    guard let elements = StridedElements(data, stored, shape: shape) else {
      throw wrong("of shape \(shape) has \(data.count) bytes of \(stored.rawValue)")
    }
    return elements
  }
}
