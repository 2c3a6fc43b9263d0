import CMatIO

/// A MAT file of MATLAB that is written through matio.
package final class MATWriter {
  /// An array in MATLAB's order, the first index the fastest.
  package indirect enum Value {
    case doubles([Double], [Int]), int32([Int32], [Int]), int64([Int64], [Int]), bytes([UInt8], [Int]), text(String),
      cells([Value?], [Int])
  }

  private let file: OpaquePointer

  /// - Parameter isHDF5: version 7.3, otherwise 5.
  package init?(_ path: String, isHDF5: Bool = false) {
    guard let file = Mat_CreateVer(path, nil, isHDF5 ? MAT_FT_MAT73 : MAT_FT_MAT5) else { return nil }
    self.file = file
  }

  deinit { Mat_Close(file) }

  package func write(_ name: String, _ value: Value, isCompressed: Bool = false) -> Bool {
    guard let variable = Self.variable(name, value) else { return false }
    defer { Mat_VarFree(variable) }
    return Mat_VarWrite(file, variable, isCompressed ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE) == 0
  }

  private static func variable(_ name: String?, _ value: Value) -> UnsafeMutablePointer<matvar_t>? {
    typealias Variable = UnsafeMutablePointer<matvar_t>
    func made<T>(_ kind: matio_classes, _ type: matio_types, _ values: [T], _ shape: [Int]) -> Variable? {
      var shape = shape
      return values.withUnsafeBytes { values in
        Mat_VarCreate(
          name, kind, type, Int32(shape.count), &shape, UnsafeMutableRawPointer(mutating: values.baseAddress), 0)
      }
    }
    switch value {
    case .doubles(let values, let shape): return made(MAT_C_DOUBLE, MAT_T_DOUBLE, values, shape)
    case .int32(let values, let shape): return made(MAT_C_INT32, MAT_T_INT32, values, shape)
    case .int64(let values, let shape): return made(MAT_C_INT64, MAT_T_INT64, values, shape)
    case .bytes(let values, let shape): return made(MAT_C_UINT8, MAT_T_UINT8, values, shape)
    case .text(let text): return made(MAT_C_CHAR, MAT_T_UINT8, Array(text.utf8), [1, text.utf8.count])
    case .cells(let cells, let shape):
      let empty = Value.bytes([], [0, 0])
      let made = made(MAT_C_CELL, MAT_T_CELL, cells.map { variable(nil, $0 ?? empty) }, shape)
      return made
    }
  }
}
