/// The elements of tensors that are read, by the names that PyTorch has for them.
package enum ElementType: String, Sendable {
  case float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8, bool

  package var bytes: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .float16, .bfloat16, .int16: 2
    case .int8, .uint8, .bool: 1
    }
  }

  package var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16: true
    case .int64, .int32, .int16, .int8, .uint8, .bool: false
    }
  }
}

/// Elements of a tensor as they stand in memory, little-endian, maybe with others between them.
struct StridedElements {
  private let bytes: [UInt8], type: ElementType
  /// In elements.
  private let first: Int, strides: [Int]
  private let shape: [Int]

  /// - Parameter first: the element that the tensor begins with.
  /// - Returns: nil where the elements are not all in `bytes`.
  init?(_ bytes: [UInt8], _ type: ElementType, first: Int, shape: [Int], strides: [Int]) {
    guard let end = Self.end(first: first, shape: shape, strides: strides), end <= bytes.count / type.bytes else {
      return nil
    }
    (self.bytes, self.type, self.first, self.shape, self.strides) = (bytes, type, first, shape, strides)
  }

  /// All of `bytes`, in C order.
  init?(_ bytes: [UInt8], _ type: ElementType, shape: [Int]) {
    guard let count = Self.count(shape), count.multipliedReportingOverflow(by: type.bytes) == (bytes.count, false)
    else {
      return nil
    }
    self.init(bytes, type, first: 0, shape: shape, strides: Self.strides(shape))
  }

  /// The product of the lengths; nil where one is negative or the product is too large.
  static func count(_ shape: [Int]) -> Int? {
    var count = 1
    for length in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: length)
      if length < 0 || overflow { return nil }
      count = product
    }
    return count
  }

  /// Behind the last element that such a tensor has; nil where that is no place in any memory.
  static func end(first: Int, shape: [Int], strides: [Int]) -> Int? {
    guard first >= 0, shape.count == strides.count, let count = count(shape), strides.allSatisfy({ $0 >= 0 }) else {
      return nil
    }
    if count == 0 { return first }
    var end = first
    for (length, stride) in zip(shape, strides) {
      let (reach, tooFar) = (length - 1).multipliedReportingOverflow(by: stride)
      let (sum, overflow) = end.addingReportingOverflow(reach)
      if tooFar || overflow { return nil }
      end = sum
    }
    return end == .max ? nil : end + 1
  }

  /// Those of C order.
  private static func strides(_ shape: [Int]) -> [Int] {
    var strides: [Int] = [], stride = 1
    for length in shape.reversed() {
      strides.append(stride)
      stride &*= max(1, length)  // of an empty tensor it may be any
    }
    return strides.reversed()
  }

  /// In C order.
  func floats() -> [Float] {
    switch type {
    case .float64: map(Double.self) { Float($0) }
    case .float32: map(Float.self) { $0 }
    case .float16: map(Float16.self) { Float($0) }
    case .bfloat16: map(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .int64: map(Int64.self) { Float($0) }
    case .int32: map(Int32.self) { Float($0) }
    case .int16: map(Int16.self) { Float($0) }
    case .int8: map(Int8.self) { Float($0) }
    case .uint8, .bool: map(UInt8.self) { Float($0) }
    }
  }

  /// In C order.
  func doubles() -> [Double] { type == .float64 ? map(Double.self) { $0 } : floats().map(Double.init) }

  /// Inlined with its closure into each use, so that the loops are over plain machine numbers.
  @inline(__always)
  private func map<Source: BitwiseCopyable, Target>(_: Source.Type, _ element: (Source) -> Target) -> [Target] {
    let count = shape.reduce(1, *), row = shape.last ?? 1, step = strides.last ?? 1
    return [Target](unsafeUninitializedCapacity: count) { out, initialized in
      bytes.withUnsafeBytes { bytes in
        var place = [Int](repeating: 0, count: max(0, shape.count - 1)), begin = first
        while initialized < count {
          for index in 0..<row {
            let offset = (begin + index * step) * MemoryLayout<Source>.size
            (out.baseAddress! + initialized + index).initialize(
              to: element(bytes.loadUnaligned(fromByteOffset: offset, as: Source.self)))
          }
          initialized += row
          // The next row, as an odometer turns.
          for axis in place.indices.reversed() {
            place[axis] += 1
            begin += strides[axis]
            if place[axis] < shape[axis] { break }
            begin -= place[axis] * strides[axis]
            place[axis] = 0
          }
        }
      }
    }
  }
}
