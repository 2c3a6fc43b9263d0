import CMatIO
import Foundation
import Tensors

/// A file of MATLAB, version 5 to 7.3, read through matio.
package final class MATFile {
  package let path: String
  private let file: OpaquePointer
  /// Of its variables.
  private let names: [String]

  /// - Throws: `Failure.data` where it is no such file, or has no variable.
  package init(path: String) throws {
    try Self.requireWhole(path)
    // Or HDF5, which is below version 7.3, prints an account of its own of a damaged file.
    H5Eset_auto2(0, nil, nil)
    guard let file = Mat_Open(path, Int32(MAT_ACC_RDONLY.rawValue)) else {
      throw Failure.data(path, "not a MAT file of MATLAB, or a damaged one")
    }
    var count = 0
    let list = Mat_GetDir(file, &count)
    names =
      list.map { list in (0..<count).compactMap { index in list[index].map { String(cString: $0) } }.sorted() } ?? []
    (self.path, self.file) = (path, file)
    // Of an HDF5 file that is cut short matio opens what is there: nothing.
    if names.isEmpty { throw Failure.data(path, "no variable in it: cut short, damaged, or no MAT file of MATLAB") }
  }

  deinit { Mat_Close(file) }

  /// matio makes zeros of what is missing at the end of a version 5 file, whose elements tell their lengths, and does not look at
  /// the checksums of those that are compressed.
  private static func requireWhole(_ path: String) throws {
    let file = try InputFile(path)
    if file.size == 0 { throw Failure.data(path, "is empty") }
    guard file.size >= 128 else { return }
    func word(at offset: Int) throws -> Int {
      var word: UInt32 = 0
      try withUnsafeMutableBytes(of: &word) { try file.read(into: $0, at: offset) }
      return Int(UInt32(littleEndian: word))
    }
    let isVersion5 = try word(at: 124) == 0x4D49_0100, compressed = 15
    var offset = 128
    while isVersion5 && offset < file.size {
      let start = offset + 8
      let end = file.size - offset < 8 ? .max : start + (try word(at: offset + 4))
      if end > file.size { throw Failure.data(path, "cut short: its last variable is not all there") }
      if try word(at: offset) == compressed, try !ZlibStream(file, start..<end).isWhole() {
        throw Failure.data(path, "damaged: what is compressed at byte \(start) does not have its checksum")
      }
      offset = end
    }
  }

  /// The variable `name`, all of it.
  /// - Throws: `Failure.data` with file and variable where there is none, or it cannot be read.
  package func variable(_ name: String) throws -> MATValue {
    guard names.contains(name) else {
      let known = names.prefix(8).map { Printable.line($0, limit: 40) }.joined(separator: ", ")
      throw Failure.data(path, "no variable \"\(name)\" in it, but \(known)\(names.count > 8 ? ", …" : "")")
    }
    guard let variable = Mat_VarRead(file, name) else {
      throw Failure.data(path, "its variable \"\(name)\" is damaged")
    }
    return MATValue(MATStorage(variable), variable, "\(path), \(name)")
  }
}

/// An array of MATLAB: numbers, text, or cells with further arrays. Elements are in MATLAB's order, the first index the fastest.
package struct MATValue {
  /// What errors call it: the file and the variable.
  package let name: String
  /// The lengths of its dimensions.
  package let shape: [Int]
  private let storage: MATStorage
  private let variable: UnsafeMutablePointer<matvar_t>

  fileprivate init(_ storage: MATStorage, _ variable: UnsafeMutablePointer<matvar_t>, _ name: String) {
    (self.storage, self.variable, self.name) = (storage, variable, name)
    let rank = variable.pointee.dims == nil ? 0 : Int(variable.pointee.rank)
    shape = (0..<rank).map { Int(variable.pointee.dims[$0]) }
  }

  package var count: Int { shape.reduce(1, *) }
  package var isCell: Bool { variable.pointee.class_type == MAT_C_CELL }

  /// The array in a cell, nil where it is empty.
  /// - Throws: `Failure.data` where this is no array of cells.
  package func cell(_ index: Int) throws -> MATValue? {
    guard isCell else { throw failure("expected cells") }
    precondition((0..<count).contains(index))
    guard variable.pointee.data != nil, let cell = Mat_VarGetCell(variable, Int32(index)) else { return nil }
    let value = MATValue(storage, cell, "\(name){\(index + 1)}")
    return cell.pointee.data == nil || value.count == 0 ? nil : value
  }

  /// - Throws: `Failure.data` where this has other elements than real numbers.
  package func numbers() throws -> [Double] {
    switch variable.pointee.class_type {
    case MAT_C_DOUBLE: try elements(of: Double.self)
    case MAT_C_SINGLE: try elements(of: Float.self).map(Double.init)
    case MAT_C_INT8: try elements(of: Int8.self).map(Double.init)
    case MAT_C_UINT8: try elements(of: UInt8.self).map(Double.init)
    case MAT_C_INT16: try elements(of: Int16.self).map(Double.init)
    case MAT_C_UINT16: try elements(of: UInt16.self).map(Double.init)
    case MAT_C_INT32: try elements(of: Int32.self).map(Double.init)
    case MAT_C_UINT32: try elements(of: UInt32.self).map(Double.init)
    case MAT_C_INT64: try elements(of: Int64.self).map(Double.init)
    case MAT_C_UINT64: try elements(of: UInt64.self).map(Double.init)
    default: throw failure("expected numbers")
    }
  }

  /// - Throws: `Failure.data` where this has other elements than whole numbers that an `Int32` holds.
  package func integers() throws -> [Int] {
    try numbers().map { number in
      guard let integer = Int32(exactly: number) else { throw failure("\(number) where a whole number was expected") }
      return Int(integer)
    }
  }

  /// - Throws: `Failure.data` where this has other elements than bytes.
  package func bytes() throws -> [UInt8] {
    guard variable.pointee.class_type == MAT_C_UINT8 else { throw failure("expected bytes") }
    return try elements(of: UInt8.self)
  }

  /// - Throws: `Failure.data` where this is no text.
  package func text() throws -> String {
    guard variable.pointee.class_type == MAT_C_CHAR else { throw failure("expected text") }
    switch variable.pointee.data_type {
    case MAT_T_UINT8, MAT_T_UTF8, MAT_T_INT8: return String(decoding: try elements(of: UInt8.self), as: UTF8.self)
    case MAT_T_UINT16, MAT_T_UTF16: return String(decoding: try elements(of: UInt16.self), as: UTF16.self)
    default: throw failure("text in an encoding that is not read")
    }
  }

  /// What is wrong with it.
  package func failure(_ reason: String) -> Failure { .data(name, "\(reason)") }

  private func elements<T: BitwiseCopyable>(of: T.Type) throws -> [T] {
    if count == 0 { return [] }
    guard variable.pointee.isComplex == 0, let data = variable.pointee.data,
      Int(variable.pointee.data_size) == MemoryLayout<T>.stride,
      Int(variable.pointee.nbytes) >= count * MemoryLayout<T>.stride
    else { throw failure("damaged, or of complex numbers") }
    return Array(UnsafeBufferPointer(start: data.assumingMemoryBound(to: T.self), count: count))
  }
}

/// What matio allocated for a variable and its cells.
private final class MATStorage {
  let variable: UnsafeMutablePointer<matvar_t>
  init(_ variable: UnsafeMutablePointer<matvar_t>) { self.variable = variable }
  deinit { Mat_VarFree(variable) }
}
