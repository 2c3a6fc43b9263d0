import Tensors

/// `data.faces.*`: whether faces can be recognized ("How important are faces for person re-identification?", Dietlmeier et al.,
/// 2020; what is blurred, and how far, is reconstructed from the abstract).
package enum Faces: String, CaseIterable, Sendable {
  case clear, blurred

  package var meaning: String {
    switch self {
    case .clear: "as they are"
    case .blurred:
      "a Gaussian blur within each image's `face`, of a deviation of a quarter of its shorter side; images without one stay"
    }
  }

  /// - Parameter key: the configuration's, of this choice.
  /// - Throws: `Failure.data` where none of `samples` of `root` has a face that could be blurred.
  package func require(in samples: [Sample], of root: String, _ key: String) throws {
    guard self == .blurred, samples.allSatisfy({ $0.face == nil }) else { return }
    throw Failure.data(
      root,
      "\(key) is blurred, but none of the \(samples.count) images has a face (a column of CSV files, x y width height)")
  }

  /// - Throws: `Failure.data` with the path where the face is outside of the image.
  func apply(to image: inout RGBImage, _ sample: Sample) throws(Failure) {
    guard self == .blurred, let face = sample.face else { return }
    guard let seen = face.within(image.height, image.width) else {
      throw .data(
        sample.path, "its face \(face.words) (x y width height) is outside of the image, \(image.width)×\(image.height)"
      )
    }
    image.blur(seen)
  }
}

extension Rectangle {
  /// What of it lies in an image; nil where nothing does.
  fileprivate func within(_ rows: Int, _ columns: Int) -> Rectangle? {
    let first = (row: max(top, 0), column: max(left, 0))
    let end = (row: min(top + height, rows), column: min(left + width, columns))
    guard first.row < end.row, first.column < end.column else { return nil }
    return Rectangle(
      top: first.row, left: first.column, height: end.row - first.row, width: end.column - first.column)
  }
}
