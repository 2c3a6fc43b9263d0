import Foundation
import Storage
import Tensors

/// A tensor of a file of another tool. Its elements are read when they are asked for.
package struct ForeignTensor {
  private enum Source { case elements(() throws -> StridedElements), safetensors(SafetensorsFile) }

  /// With the keys of what it is in, joined by dots.
  package let name: String
  package let shape: [Int]
  package let type: ElementType
  private let source: Source

  init(_ name: String, shape: [Int], _ type: ElementType, elements: @escaping () throws -> StridedElements) {
    (self.name, self.shape, self.type, source) = (name, shape, type, .elements(elements))
  }

  fileprivate init(_ name: String, shape: [Int], _ type: ElementType, in file: SafetensorsFile) {
    (self.name, self.shape, self.type, source) = (name, shape, type, .safetensors(file))
  }

  /// In C order.
  /// - Throws: `Failure.data` with file and tensor.
  package func floats() throws -> [Float] {
    switch source {
    case .elements(let elements): try elements().floats()
    case .safetensors(let file): try file.values(name)
    }
  }

  package func doubles() throws -> [Double] {
    switch source {
    case .elements(let elements): try elements().doubles()
    case .safetensors(let file): try file.values(name, as: Double.self)
    }
  }
}

/// What a file of weights holds, whoever wrote it. Nothing in it is executed.
package struct ForeignFile {
  package enum Kind: String, Sendable {
    case torch = "PyTorch", torchLegacy = "PyTorch before 1.6", safetensors, onnx = "ONNX"
  }

  package let path: String
  package let kind: Kind
  /// In the order of the file.
  package let tensors: [ForeignTensor]
  /// What is no tensor, and holds none: its name, and what it is.
  package let others: [(name: String, what: String)]

  /// Tells the kind of file by how it begins.
  /// - Throws: `Failure.data` with the path and what is wrong, for whatever is not a well-formed file.
  package init(path: String) throws {
    let file = try InputFile(path)
    var begin = [UInt8](repeating: 0, count: min(32, file.size))
    try begin.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    let contents: (tensors: [ForeignTensor], others: [(name: String, what: String)])
    if Self.isTorch(begin) == .torch {
      kind = .torch
      contents = try TorchFile.read(archive: ZipArchive(path: path))
    } else if Self.isTorch(begin) == .torchLegacy {
      kind = .torchLegacy
      contents = try TorchFile.read(legacy: file)
    } else if path.hasSuffix(".safetensors") || begin.count > 8 && begin[8] == UInt8(ascii: "{") && begin[7] == 0 {
      kind = .safetensors
      let weights = try SafetensorsFile(path: path)
      contents = (
        try weights.names.map { name in
          ForeignTensor(name, shape: try weights.shape(name), Self.type(try weights.dtype(name)), in: weights)
        }, []
      )
    } else if path.hasSuffix(".onnx") || ONNXFile.isLikely(file) {
      kind = .onnx
      contents = (try ONNXFile.read(file), [])
    } else if begin.starts(with: [0x80]) && begin.count > 1 && (2...5).contains(begin[1]) {
      throw Failure.data(
        path, "a pickle that torch.save has not written; save its weights with torch.save or safetensors")
    } else {
      throw Failure.data(path, "no weights of PyTorch, safetensors or ONNX")
    }
    (self.path, tensors, others) = (path, contents.tensors, contents.others)
  }

  /// Which of PyTorch's two kinds of files begins like this.
  package static func isTorch(_ begin: [UInt8]) -> Kind? {
    if begin.starts(with: Array("PK\u{3}\u{4}".utf8)) { return .torch }
    let number = TorchFile.legacyNumber
    let isLegacy = (0...max(0, min(begin.count, 32) - number.count)).contains {
      begin.dropFirst($0).starts(with: number)
    }
    return isLegacy && begin.first == 0x80 ? .torchLegacy : nil
  }

  private static func type(_ type: SafetensorsType) -> ElementType {
    switch type {
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .float32: .float32
    case .float64: .float64
    case .int64: .int64
    case .uint8: .uint8
    }
  }
}
