import Storage
import Tensors

/// The column `face`: `x y width height` in whole pixels from the upper left corner of the upright image, as detectors give it,
/// or empty where no face is seen.
struct FaceColumn {
  private let table: CSVTable
  private let column: Int?

  init(_ table: CSVTable) throws { (self.table, column) = (table, try table.firstColumn(["face"])) }

  /// - Throws: `Failure.data` with file and line.
  func face(of row: Int) throws -> Rectangle? {
    guard let column else { return nil }
    let text = try table.text(row, column).trimmed, words = text.split(separator: " ")
    if words.isEmpty { return nil }
    let numbers = words.compactMap { Int($0) }, most = 1 << 24
    guard words.count == 4, numbers.count == 4, numbers.allSatisfy({ (-most...most).contains($0) }), numbers[2] > 0,
      numbers[3] > 0
    else {
      let shown = Printable.line(text, limit: 60)
      throw table.failure(row, "face is \"\(shown)\", expected x y width height in whole pixels, or nothing")
    }
    return Rectangle(top: numbers[1], left: numbers[0], height: numbers[3], width: numbers[2])
  }
}

extension Rectangle {
  /// As the column `face` has it.
  package var words: String { "\(left) \(top) \(width) \(height)" }
}
