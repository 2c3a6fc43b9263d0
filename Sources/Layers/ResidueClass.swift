/// The input pixels (stride·i + row, stride·j + column): those that the same taps of the kernel reach.
struct ResidueClass {
  let row: Int, column: Int
  /// Which outputs an input pixel of the class sees.
  let window: Window
  /// Kernel taps (row · kernel + column) in the order of the window.
  let taps: [Int]

  static func all(kernel: Int, stride: Int, padding: Int) -> [ResidueClass] {
    (0..<stride).flatMap { row in
      (0..<stride).map { column in
        // y = (x + padding − tap) / stride: ascending outputs are descending taps
        let rowTaps = (0..<kernel).filter { (row + padding - $0) % stride == 0 }.reversed().map { $0 }
        let columnTaps = (0..<kernel).filter { (column + padding - $0) % stride == 0 }.reversed().map { $0 }
        let empty = rowTaps.isEmpty || columnTaps.isEmpty
        let window = Window(
          rows: empty ? 0 : rowTaps.count, columns: empty ? 0 : columnTaps.count, stride: 1,
          top: empty ? 0 : (row + padding - rowTaps[0]) / stride,
          left: empty ? 0 : (column + padding - columnTaps[0]) / stride)
        return ResidueClass(
          row: row, column: column, window: window,
          taps: empty ? [] : rowTaps.flatMap { r in columnTaps.map { r * kernel + $0 } })
      }
    }
  }
}
