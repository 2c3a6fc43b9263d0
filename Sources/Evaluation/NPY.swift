import Foundation
import Storage
import Tensors

/// NumPy's `.npy` files of feature matrices (format 1.0 to 3.0, numpy.lib.format).
///
/// Layout: `\x93NUMPY`, two version bytes, the header's length (u16 little-endian, from version 2.0 on u32), the
/// header (a Python dictionary with `descr`, `fortran_order` and `shape`, padded with spaces and ended by a newline),
/// the data. Little-endian, as every machine is that this runs on.
package enum NPY {
  private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
  /// NumPy's own limit is 10,000.
  private static let longestHeader = 1 << 16

  /// Reads a two-dimensional array in C order of `<f4` or `<f8` elements; the latter are rounded to float32.
  ///
  /// - Throws: `Failure.data` that names the file, for a file that is missing, damaged or holds anything else.
  package static func read(_ path: String) throws -> FeatureMatrix {
    let file = try NPYFile(path), count = file.rows * file.columns
    try file.requireMemory()
    let values = try [Float](unsafeUninitializedCapacity: count) { values, initialized in
      if let base = values.baseAddress { try file.read(0..<file.rows, into: base) }
      initialized = count
    }
    return FeatureMatrix(rows: file.rows, columns: file.columns, values: values)
  }

  /// Writes version 1.0 with `<f4` elements in C order; the data starts at a multiple of 64 bytes. The file appears
  /// whole or not at all.
  ///
  /// - Throws: `Failure.internal` that names the file if it cannot be written.
  package static func write(_ matrix: FeatureMatrix, to path: String) throws {
    try AtomicFiles.write(to: path) { try write(matrix, to: $0) }
  }

  static func write(_ matrix: FeatureMatrix, to file: OutputFile) throws {
    try writeHeader(rows: matrix.rows, columns: matrix.columns, to: file)
    try matrix.values.withUnsafeBytes { try file.write($0) }
  }

  /// What stands before rows · columns elements of `<f4`.
  package static func writeHeader(rows: Int, columns: Int, to file: OutputFile) throws {
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
    let unpadded = magic.count + 4 + header.utf8.count + 1
    header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
    let start = magic + [1, 0, UInt8(header.utf8.count & 0xFF), UInt8(header.utf8.count >> 8)] + Array(header.utf8)
    try start.withUnsafeBytes { try file.write($0) }
  }

  /// The header, and where the data starts.
  fileprivate static func header(of file: InputFile) throws -> (Header, start: Int) {
    let path = file.path
    func bytes(_ range: Range<Int>) throws -> [UInt8] {
      guard range.upperBound <= file.size else { throw Failure.data(path, "ends within its header") }
      var bytes = [UInt8](repeating: 0, count: range.count)
      try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
      return bytes
    }
    guard file.size >= 10, try bytes(0..<magic.count) == magic else {
      throw Failure.data(path, "not an NPY file (it does not start with \\x93NUMPY)")
    }
    let version = try bytes(6..<8)
    guard (1...3).contains(version[0]) else {
      throw Failure.data(path, "NPY version \(version[0]).\(version[1]) is not known (1.0, 2.0 and 3.0 are)")
    }
    let start = version[0] == 1 ? 10 : 12
    let length = try bytes(8..<start).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= longestHeader else {
      throw Failure.data(path, "its NPY header is damaged: \(length) bytes long")
    }
    let text = String(decoding: try bytes(start..<start + length), as: UTF8.self)
    return (try Header(text, path), start + length)
  }
}

/// A `.npy` file of features, open: rows are read when they are asked for, from any number of threads.
package final class NPYFile: Sendable {
  package let rows: Int, columns: Int
  /// Of an element, in bytes: 4 or 8.
  private let width: Int
  private let file: InputFile
  /// Where the data starts.
  private let start: Int

  package var path: String { file.path }

  /// A two-dimensional array in C order of `<f4` or `<f8` elements.
  /// - Throws: `Failure.data` that names the file, for one that is missing, damaged or holds anything else.
  package init(_ path: String) throws {
    file = try InputFile(path)
    let header: NPY.Header
    (header, start) = try NPY.header(of: file)
    guard header.shape.count == 2 else {
      let shape = header.shape.prefix(8).map(String.init).joined(separator: ", ")
      throw Failure.data(path, "features are (rows, columns), but its shape is (\(shape))")
    }
    guard !header.fortranOrder else {
      throw Failure.data(path, "is in Fortran order; save it in C order (numpy.ascontiguousarray)")
    }
    switch header.descr {
    case "<f4": width = 4
    case "<f8": width = 8
    default:
      let shown = Printable.line(header.descr, limit: 60)
      throw Failure.data(path, "elements are '\(shown)'; '<f4' and '<f8' can be read")
    }
    (rows, columns) = (header.shape[0], header.shape[1])
    let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
    guard !overflow, count <= Int.max / width, file.size - start == count * width else {
      throw Failure.data(
        path, "\(rows) × \(columns) '\(header.descr)' elements do not fit its \(file.size - start) bytes of data")
    }
  }

  /// Makes sure that there is memory for all rows as float32.
  package func requireMemory() throws(Failure) { try file.requireMemory(rows * columns * 4) }

  /// The elements of `rows` as float32. (rows.count, columns)
  /// - Throws: `Failure.data` with the path, where it has been cut off or cannot be read.
  package func read(_ rows: Range<Int>, into values: UnsafeMutablePointer<Float>) throws(Failure) {
    let count = rows.count * columns, offset = start + rows.lowerBound * columns * width
    if width == 4 {
      return try file.read(into: UnsafeMutableRawBufferPointer(start: values, count: count * 4), at: offset)
    }
    // Rounded, a part at a time.
    var part = [Double](repeating: 0, count: min(count, 1 << 17)), done = 0
    while done < count {
      let size = min(part.count, count - done)
      var failure: Failure?
      part.withUnsafeMutableBytes { bytes in
        do throws(Failure) {
          try file.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<(size * 8)]), at: offset + done * 8)
        } catch {
          failure = error
        }
      }
      if let failure { throw failure }
      for index in 0..<size { values[done + index] = Float(part[index]) }
      done += size
    }
  }
}

extension NPY {
  /// The three entries of the header's dictionary.
  fileprivate struct Header {
    var descr = ""
    var fortranOrder = false
    var shape: [Int] = []

    init(_ text: String, _ path: String) throws {
      let damaged = Failure.data(path, "its NPY header is damaged: \(text.prefix(80).filter { !$0.isNewline })")
      guard let descr = Self.value(of: "descr", in: text) else { throw damaged }
      guard let quote = descr.first, quote == "'" || quote == "\"" else {
        throw Failure.data(path, "holds records; '<f4' and '<f8' elements can be read")
      }
      let unquoted = descr.dropFirst()
      guard let end = unquoted.firstIndex(of: quote) else { throw damaged }
      self.descr = String(unquoted[..<end])

      guard let order = Self.value(of: "fortran_order", in: text) else { throw damaged }
      guard order.hasPrefix("True") || order.hasPrefix("False") else { throw damaged }
      fortranOrder = order.hasPrefix("True")

      guard let shape = Self.value(of: "shape", in: text), shape.first == "(", let close = shape.firstIndex(of: ")")
      else { throw damaged }
      // A tuple of one ends with a comma, so empty entries are left out.
      for entry in shape[..<close].dropFirst().split(separator: ",") {
        let digits = entry.filter { $0 != " " }
        if digits.isEmpty { continue }
        guard let size = Int(digits), size >= 0 else { throw damaged }
        self.shape.append(size)
      }
    }

    /// The text after `'key':`, without leading spaces.
    private static func value(of key: String, in text: String) -> Substring? {
      for quote in ["'", "\""] {
        guard let found = text.range(of: quote + key + quote) else { continue }
        let rest = text[found.upperBound...].drop { $0 == " " }
        guard rest.first == ":" else { return nil }
        return rest.dropFirst().drop { $0 == " " }
      }
      return nil
    }
  }
}
