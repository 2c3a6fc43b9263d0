import Foundation
import Storage
import Tensors

/// Points for the embedding projector: `projector_config.pbtxt` beside the event files, and what it names.
package struct ProjectorFolder {
  /// A row a point.
  package struct Table: Sendable {
    package let columns: [String]
    package let rows: [[String]]
    package init(columns: [String], rows: [[String]]) { (self.columns, self.rows) = (columns, rows) }

    /// A line a point below one of names, as the projector wants it where there are several columns.
    var text: String {
      // Line ends and tabs would be another row or column.
      ([columns] + rows).map { $0.map { Printable.line($0) }.joined(separator: "\t") + "\n" }.joined()
    }
  }

  /// Thumbnails of all points in one PNG file, a square of as many columns as rows.
  package struct Sprite: Sendable {
    package let png: [UInt8]
    /// Of one thumbnail.
    package let width: Int, height: Int
    package init(png: [UInt8], width: Int, height: Int) { (self.png, self.width, self.height) = (png, width, height) }

    /// Thumbnails a row.
    package static func side(of count: Int) -> Int { Int(Double(count).squareRoot().rounded(.up)) }
  }

  private let folder: String

  /// - Parameter folder: of the event files.
  package init(_ folder: String) { self.folder = folder }

  /// Writes a set of points, in the place of the one before; each file whole or not at all, the configuration last.
  /// - Parameters:
  ///   - vectors: (labels.rows.count, columns), row after row.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package func write(name: String, vectors: [Float], _ labels: Table, sprite: Sprite?) throws {
    let rows = labels.rows.count
    precondition(rows > 0 && vectors.count % rows == 0)
    try AtomicFiles.makeDirectory("\(folder)/projector")
    try AtomicFiles.write(to: "\(folder)/projector/features.bytes", synced: false) { file in
      try vectors.withUnsafeBytes { try file.write($0) }
    }
    try AtomicFiles.write(to: "\(folder)/projector/labels.tsv", synced: false) { try $0.write(labels.text) }
    if let sprite {
      try AtomicFiles.write(to: "\(folder)/projector/sprite.png", synced: false) { file in
        try sprite.png.withUnsafeBytes { try file.write($0) }
      }
    }
    let picture = sprite.map {
      """
        sprite {
          image_path: "projector/sprite.png"
          single_image_dim: \($0.width)
          single_image_dim: \($0.height)
        }

      """
    }
    let configuration = """
      embeddings {
        tensor_name: \(Self.quoted(name))
        tensor_shape: \(rows)
        tensor_shape: \(vectors.count / rows)
        tensor_path: "projector/features.bytes"
        metadata_path: "projector/labels.tsv"
      \(picture ?? "")}

      """
    try AtomicFiles.write(configuration, to: "\(folder)/projector_config.pbtxt")
  }

  /// As protobuf's text has it.
  private static func quoted(_ text: String) -> String {
    let escaped = Printable.line(text).replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    return "\"\(escaped)\""
  }
}
