import Foundation
import Tensors

/// NumPy's `.npy` files of feature matrices (format 1.0 to 3.0, numpy.lib.format).
///
/// Layout: `\x93NUMPY`, two version bytes, the header's length (u16 little-endian, from version 2.0 on u32), the
/// header (a Python dictionary with `descr`, `fortran_order` and `shape`, padded with spaces and ended by a newline),
/// the data.
package enum NPY {
  private static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]

  /// Reads a two-dimensional array in C order of `<f4` or `<f8` elements; the latter are rounded to float32.
  ///
  /// - Throws: `Failure.data` that names the file, for a file that is missing, damaged or holds anything else.
  package static func read(_ path: String) throws -> FeatureMatrix {
    let file: Data
    do {
      file = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch {
      throw Failure.data("\(path): cannot be read: \(reason(error))")
    }
    return try file.withUnsafeBytes { try parse($0, path) }
  }

  /// Writes version 1.0 with `<f4` elements in C order; the data starts at a multiple of 64 bytes. The file appears
  /// whole or not at all.
  ///
  /// - Throws: `Failure.internal` that names the file if it cannot be written.
  package static func write(_ matrix: FeatureMatrix, to path: String) throws {
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(matrix.rows), \(matrix.columns)), }"
    let unpadded = magic.count + 4 + header.utf8.count + 1
    header += String(repeating: " ", count: (64 - unpadded % 64) % 64) + "\n"
    var file = Data(capacity: unpadded + 64 + matrix.values.count * 4)
    file.append(contentsOf: magic)
    file.append(contentsOf: [1, 0, UInt8(header.utf8.count & 0xFF), UInt8(header.utf8.count >> 8)])
    file.append(contentsOf: header.utf8)
    matrix.values.withUnsafeBytes { values in
      #if _endian(little)
        file.append(contentsOf: values)
      #else
        for word in values.bindMemory(to: UInt32.self) {
          withUnsafeBytes(of: word.littleEndian) { file.append(contentsOf: $0) }
        }
      #endif
    }
    do {
      try file.write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw Failure.internal("\(path): cannot be written: \(reason(error))")
    }
  }

  private static func parse(_ file: UnsafeRawBufferPointer, _ path: String) throws -> FeatureMatrix {
    guard file.count >= 10, file.prefix(magic.count).elementsEqual(magic) else {
      throw Failure.data("\(path): not an NPY file (it does not start with \\x93NUMPY)")
    }
    let version = file[6]
    guard (1...3).contains(version) else {
      throw Failure.data("\(path): NPY version \(version).\(file[7]) is not known (1.0, 2.0 and 3.0 are)")
    }
    let start = version == 1 ? 10 : 12
    guard file.count >= start else { throw Failure.data("\(path): ends within its header") }
    let length =
      version == 1
      ? Int(UInt16(littleEndian: file.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
      : Int(UInt32(littleEndian: file.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    guard length <= file.count - start else { throw Failure.data("\(path): ends within its header") }
    let text = String(decoding: file[start..<start + length], as: UTF8.self)
    let header = try Header(text, path)

    guard header.shape.count == 2 else {
      let shape = header.shape.map(String.init).joined(separator: ", ")
      throw Failure.data("\(path): features are (rows, columns), but its shape is (\(shape))")
    }
    guard !header.fortranOrder else {
      throw Failure.data("\(path): is in Fortran order; save it in C order (numpy.ascontiguousarray)")
    }
    let width: Int
    switch header.descr {
    case "<f4": width = 4
    case "<f8": width = 8
    default: throw Failure.data("\(path): elements are '\(header.descr)'; '<f4' and '<f8' can be read")
    }
    let (rows, columns) = (header.shape[0], header.shape[1])
    let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
    let data = UnsafeRawBufferPointer(rebasing: file[(start + length)...])
    guard !overflow, count <= Int.max / width, data.count == count * width else {
      throw Failure.data(
        "\(path): \(rows) × \(columns) '\(header.descr)' elements do not fit its \(data.count) bytes of data")
    }
    let values = [Float](unsafeUninitializedCapacity: count) { values, initialized in
      for index in 0..<count {
        if width == 4 {
          let word = data.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)
          values.initializeElement(at: index, to: Float(bitPattern: UInt32(littleEndian: word)))
        } else {
          let word = data.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self)
          values.initializeElement(at: index, to: Float(Double(bitPattern: UInt64(littleEndian: word))))
        }
      }
      initialized = count
    }
    return FeatureMatrix(rows: rows, columns: columns, values: values)
  }

  private static func reason(_ error: any Error) -> String {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
    return (underlying ?? error as NSError).localizedDescription.replacingOccurrences(of: "\n", with: " ")
  }
}

extension NPY {
  /// The three entries of the header's dictionary.
  private struct Header {
    var descr = ""
    var fortranOrder = false
    var shape: [Int] = []

    init(_ text: String, _ path: String) throws {
      let damaged = Failure.data("\(path): its NPY header is damaged: \(text.prefix(80).filter { !$0.isNewline })")
      guard let descr = Self.value(of: "descr", in: text) else { throw damaged }
      guard let quote = descr.first, quote == "'" || quote == "\"" else {
        throw Failure.data("\(path): holds records; '<f4' and '<f8' elements can be read")
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
