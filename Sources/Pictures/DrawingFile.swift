import Foundation
import Storage
import Tensors

/// What a drawing is written as, by the name of its file.
package enum DrawingFormat: String, CaseIterable, Sendable {
  case png, svg

  /// - Throws: `Failure.usage` that names the option.
  package init(of path: String, _ option: String) throws(Failure) {
    let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
    guard let format = Self.allCases.first(where: { name.hasSuffix("." + $0.rawValue) && name.count > 4 }) else {
      throw Failure.usage(
        "\(option) \(Printable.line(path))", "a picture is written to a file named *.png or *.svg")
    }
    self = format
  }
}

extension Drawing {
  /// Writes it, whole or not at all.
  package func write(as format: DrawingFormat, to path: String) throws {
    switch format {
    case .png: try Canvas(self).write(to: path)
    case .svg: try AtomicFiles.write(try svg(), to: path)
    }
  }
}
