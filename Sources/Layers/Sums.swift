import Tensors

/// What an epilogue has summed over pixels: `terms` sums a channel, over all images of this rank or over each by itself.
package struct Sums: Sendable {
  package let terms: Int, channels: Int
  /// 1, or the images of this rank.
  package let sets: Int
  /// sets × terms × channels.
  package private(set) var values: [Double]

  package init(terms: Int, channels: Int, sets: Int = 1, _ values: [Double]? = nil) {
    (self.terms, self.channels, self.sets) = (terms, channels, sets)
    self.values = values ?? [Double](repeating: 0, count: sets * terms * channels)
    precondition(self.values.count == sets * terms * channels)
  }

  /// Where nothing was summed.
  package static var none: Sums { Sums(terms: 0, channels: 0) }

  package subscript(term: Int, channel: Int, set set: Int) -> Double {
    values[(set * terms + term) * channels + channel]
  }

  /// Over all images: terms × channels.
  package var total: [Double] {
    guard sets != 1 else { return values }
    var total = [Double](repeating: 0, count: terms * channels)
    for set in 0..<sets { for i in total.indices { total[i] += values[set * total.count + i] } }
    return total
  }

  /// The first of these terms and the third, for the second of two normalizations that were added: Σg, Σg(z₂ − mean₂).
  package var ofSecondNorm: Sums {
    var picked: [Double] = []
    for set in 0..<sets {
      for term in [0, 2] { picked += values[(set * terms + term) * channels..<(set * terms + term + 1) * channels] }
    }
    return Sums(terms: 2, channels: channels, sets: sets, picked)
  }

  /// Both over disjoint pixels.
  static func += (a: inout Sums, b: Sums) {
    precondition(a.values.count == b.values.count)
    for i in a.values.indices { a.values[i] += b.values[i] }
  }
}
