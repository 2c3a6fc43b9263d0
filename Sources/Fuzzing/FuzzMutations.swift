import Tensors

/// Inputs made from a corpus, the same for the same seed: what the tests run where there is no fuzzer that watches branches.
package struct FuzzMutations {
  private let corpus: [[UInt8]], words: [[UInt8]]
  private var random: CounterRandom

  /// Sizes that overflow, that are negative, or that are nearly a power of two.
  private static let magic: [UInt64] = [
    0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 60, (1 << 63) - 1,
    1 << 63,
    .max,
  ]

  /// - Parameter corpus: not empty.
  package init(_ target: FuzzTarget, corpus: [[UInt8]], seed: UInt64) {
    precondition(!corpus.isEmpty)
    (self.corpus, words) = (corpus, target.words)
    random = CounterRandom(seed: seed, purpose: .probing)
  }

  /// One to four changes of an input of the corpus.
  package mutating func next() -> [UInt8] {
    var bytes = corpus[random.integer(below: corpus.count)]
    for _ in 0...random.integer(below: 4) { change(&bytes) }
    return Array(bytes.prefix(FuzzTarget.longestInput))
  }

  private mutating func change(_ bytes: inout [UInt8]) {
    let place = random.integer(below: bytes.count + 1)
    switch random.integer(below: 9) {
    case 0: if place < bytes.count { bytes[place] ^= 1 << UInt8(random.integer(below: 8)) }
    case 1: if place < bytes.count { bytes[place] = UInt8(random.integer(below: 256)) }
    case 2: bytes.removeSubrange(place...)
    case 3: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.integer(below: 8)))
    case 4: bytes.insert(contentsOf: words[random.integer(below: words.count)], at: place)
    case 5:
      let word = words[random.integer(below: words.count)]
      bytes.replaceSubrange(place..<min(bytes.count, place + word.count), with: word)
    case 6:
      let block = bytes[place..<min(bytes.count, place + 1 + random.integer(below: 32))]
      for _ in 0..<(1 << random.integer(below: 7)) { bytes.insert(contentsOf: block, at: place) }
    case 7:
      let other = corpus[random.integer(below: corpus.count)]
      bytes.replaceSubrange(place..., with: other[random.integer(below: other.count + 1)...])
    default:
      let number = Self.magic[random.integer(below: Self.magic.count)]
      if random.integer(below: 2) == 0 {
        let width = 1 << random.integer(below: 4)
        let little = (0..<width).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
        bytes.replaceSubrange(place..<min(bytes.count, place + width), with: little)
      } else {
        let digits = bytes[place...].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        bytes.replaceSubrange(place..<place + digits.count, with: Array(String(number).utf8))
      }
    }
  }
}
