import Foundation

/// Counted randomness: (seed, epoch, position, purpose) → bits, without a generator to save.
///
/// The bits of a sample depend only on where it stands in the run, never on the rank or thread that draws
/// them, so any number of ranks augments alike and a resumed run needs no generator state.
/// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
package struct CounterRandom: RandomNumberGenerator, Sendable {
  /// What the bits are for; one stream each.
  package enum Purpose: UInt32, Sendable {
    case initialization, sampling, augmentation, synthesis, probing, masking, policy, color, gray, patch, erasure,
      evaluation, splitting, mixing, rolling, sectors, rotation, grid, parts, searching
  }

  private let key: (UInt32, UInt32)
  private let epoch: UInt32, position: UInt32, purpose: UInt32
  private var index: UInt32 = 0
  private var spare: UInt64?

  package init(seed: UInt64, epoch: Int = 0, position: Int = 0, purpose: Purpose) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.epoch = UInt32(truncatingIfNeeded: epoch)
    self.position = UInt32(truncatingIfNeeded: position)
    self.purpose = purpose.rawValue
  }

  package mutating func next() -> UInt64 {
    if let spare {
      self.spare = nil
      return spare
    }
    let bits = Self.philox((epoch, position, purpose, index), key)
    index &+= 1
    spare = UInt64(bits.3) << 32 | UInt64(bits.2)
    return UInt64(bits.1) << 32 | UInt64(bits.0)
  }

  /// Leaves out draws of `next` (or `uniform`), at the beginning of a stream.
  package mutating func skip(words: Int) {
    precondition(spare == nil)
    index &+= UInt32(words / 2)
    if words % 2 == 1 { _ = next() }
  }

  /// Leaves out draws of `normal`, each of which takes two words.
  package mutating func skip(normals: Int) { skip(words: 2 * normals) }

  /// Uniform in [0, 1), 53 bits.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform in [low, high).
  package mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * uniform() }

  /// Uniform among 0 ..< bound (multiply and shift; the bias is below bound / 2^64).
  package mutating func integer(below bound: Int) -> Int {
    precondition(bound > 0)
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// Fisher–Yates, in place.
  package mutating func shuffle<T>(_ items: inout [T]) {
    for i in stride(from: items.count - 1, to: 0, by: -1) { items.swapAt(i, integer(below: i + 1)) }
  }

  /// Standard normal (Box–Muller; the second value of the pair is not used, so that draws can be counted).
  package mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }

  /// Ten rounds of Philox4x32.
  package static func philox(
    _ counter: (UInt32, UInt32, UInt32, UInt32), _ key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var c = counter, k = key
    for _ in 0..<10 {
      let a = UInt64(0xD251_1F53) * UInt64(c.0), b = UInt64(0xCD9E_8D57) * UInt64(c.2)
      c = (
        UInt32(truncatingIfNeeded: b >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: a)
      )
      k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
    }
    return c
  }
}
