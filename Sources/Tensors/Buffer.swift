import Foundation

/// A fixed number of scalars, zero at first, aligned to 64 bytes, freed with its last reference.
///
/// Not synchronized: whoever writes it from several threads keeps to disjoint elements.
package final class Buffer<Scalar: BitwiseCopyable>: @unchecked Sendable {
  package let pointer: UnsafeMutablePointer<Scalar>
  package let count: Int
  private let allocation: UnsafeMutableRawPointer

  package init(count: Int) {
    self.count = count
    // calloc leaves large memory untouched until it is written, so a rehearsal's buffers cost nothing.
    let bytes = count * MemoryLayout<Scalar>.stride + 64
    allocation = Memory.granted(calloc(1, bytes), bytes: bytes)
    let aligned = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: allocation) + 63) & ~63)!
    pointer = aligned.bindMemory(to: Scalar.self, capacity: count)
  }

  package convenience init(_ values: [Scalar]) {
    self.init(count: values.count)
    for (i, value) in values.enumerated() { pointer[i] = value }
  }

  deinit { free(allocation) }

  package subscript(index: Int) -> Scalar {
    get { assert(index >= 0 && index < count); return pointer[index] }
    set { assert(index >= 0 && index < count); pointer[index] = newValue }
  }

  /// All of it; valid while the buffer is referenced.
  package var span: UnsafeMutableBufferPointer<Scalar> { UnsafeMutableBufferPointer(start: pointer, count: count) }

  package var array: [Scalar] { Array(span) }
  package var bytes: Int { count * MemoryLayout<Scalar>.stride }

  package func zero() { memset(pointer, 0, bytes) }

  package func copy(from other: Buffer) {
    precondition(other.count == count)
    memcpy(pointer, other.pointer, bytes)
  }
}
