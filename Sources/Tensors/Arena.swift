import Foundation

/// Memory for the tensors of a step: a block goes back when its last tensor does, and serves again.
///
/// Blocks are mapped lazily and never cleared, so a rehearsed step (see `Workers`) costs address space only,
/// and `peakBytes` is known before the first image. One thread allocates.
package final class Arena: @unchecked Sendable {
  /// A piece of memory of an arena.
  package final class Block {
    package let pointer: UnsafeMutableRawPointer
    fileprivate let bytes: Int
    private let arena: Arena

    fileprivate init(_ pointer: UnsafeMutableRawPointer, _ bytes: Int, _ arena: Arena) {
      (self.pointer, self.bytes, self.arena) = (pointer, bytes, arena)
    }

    deinit { arena.recycle(pointer, bytes) }
  }

  private var idle: [(bytes: Int, pointer: UnsafeMutableRawPointer)] = []  // ascending sizes
  private var mapped: [(pointer: UnsafeMutableRawPointer, bytes: Int)] = []

  /// All memory that the arena has asked for so far, in bytes.
  package private(set) var peakBytes = 0

  package init() {}

  deinit { for (pointer, bytes) in mapped { munmap(pointer, bytes) } }

  /// A block of at least `bytes`, contents undefined: the smallest idle one that is not over a quarter too large.
  package func block(bytes: Int) -> Block {
    let size = max(4096, (bytes + 4095) / 4096 * 4096)
    if let index = idle.firstIndex(where: { $0.bytes >= size }), idle[index].bytes <= size + size / 4 {
      let found = idle.remove(at: index)
      return Block(found.pointer, found.bytes, self)
    }
    let mapping = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    let pointer = Memory.granted(mapping == MAP_FAILED ? nil : mapping, bytes: size)
    if size >= 2 << 20 { madvise(pointer, size, MADV_HUGEPAGE) }
    mapped.append((pointer, size))
    peakBytes += size
    return Block(pointer, size, self)
  }

  private func recycle(_ pointer: UnsafeMutableRawPointer, _ bytes: Int) {
    let index = idle.firstIndex { $0.bytes >= bytes } ?? idle.count
    idle.insert((bytes, pointer), at: index)
  }
}
