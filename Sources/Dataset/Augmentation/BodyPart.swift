import Tensors

/// How much of a person a picture shows: the seven crops of part-aware re-identification, of which one is the whole (as its
/// abstract has them; their names are ours).
package enum BodyPart: Int, CaseIterable, Sendable {
  case whole, upperThreeQuarters, upperHalf, upperThird, lowerThreeQuarters, lowerHalf, lowerThird

  /// One of the others than the whole, each as likely.
  static func drawn(_ random: inout CounterRandom) -> BodyPart {
    allCases[1 + random.integer(below: allCases.count - 1)]
  }

  /// The rows of an image of so many, one at least.
  package func rows(of height: Int) -> Range<Int> {
    func share(_ numerator: Int, _ denominator: Int) -> Int { max(1, height * numerator / denominator) }
    switch self {
    case .whole: return 0..<height
    case .upperThreeQuarters: return 0..<share(3, 4)
    case .upperHalf: return 0..<share(1, 2)
    case .upperThird: return 0..<share(1, 3)
    case .lowerThreeQuarters: return height - share(3, 4)..<height
    case .lowerHalf: return height - share(1, 2)..<height
    case .lowerThird: return height - share(1, 3)..<height
    }
  }

  /// Those rows of `image`.
  package func cropped(_ image: RGBImage) -> RGBImage {
    if self == .whole { return image }
    let rows = rows(of: image.height), width = image.width * 3
    return RGBImage(
      width: image.width, height: rows.count,
      pixels: Array(image.pixels[rows.lowerBound * width..<rows.upperBound * width]))
  }
}
