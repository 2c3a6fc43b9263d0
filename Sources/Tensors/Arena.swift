import Foundation

/// Memory for the tensors of a step: a block goes back when its last tensor does, and serves again, whole, in parts, or with its
/// neighbours.
///
/// Addresses are reserved, and memory comes as it is written to and is never cleared; so a rehearsed step (see `Workers`) costs
/// address space only, and `peakBytes` is known before the first image. One thread allocates.
package final class Arena: @unchecked Sendable {
  /// A piece of memory of an arena.
  package final class Block {
    package let pointer: UnsafeMutableRawPointer
    private let addresses: Range<Int>
    private let arena: Arena

    fileprivate init(_ addresses: Range<Int>, _ arena: Arena) {
      (self.addresses, self.arena) = (addresses, arena)
      pointer = UnsafeMutableRawPointer(bitPattern: addresses.lowerBound)!
    }

    deinit { arena.recycle(addresses) }
  }

  private static let page = 4096
  private var regions: [Region] = []
  /// Addresses of regions that no block has, ascending; none adjoins the next.
  private var idle: [Range<Int>] = []

  /// All memory that blocks have had so far, in bytes.
  package var peakBytes: Int { regions.reduce(0) { $0 + $1.used.count } }

  package init() {}

  /// A block of at least `bytes`, contents undefined: of the smallest idle memory that is large enough, at its start.
  package func block(bytes: Int) -> Block {
    let size = max(Self.page, (bytes + Self.page - 1) / Self.page * Self.page)
    return Block(take(size) ?? grow(by: size), self)
  }

  private func take(_ size: Int) -> Range<Int>? {
    var best: Int?
    for index in idle.indices where idle[index].count >= size {
      if idle[index].count < best.map({ idle[$0].count }) ?? .max { best = index }
    }
    guard let best else { return nil }
    let start = idle[best].lowerBound, rest = start + size..<idle[best].upperBound
    if rest.isEmpty { idle.remove(at: best) } else { idle[best] = rest }
    return start..<start + size
  }

  /// What is idle at the end of the newest region, and as much more as is missing.
  private func grow(by size: Int) -> Range<Int> {
    if let region = regions.last {
      let end = idle.last { $0.upperBound == region.used.upperBound }, start = end?.lowerBound ?? region.used.upperBound
      if region.extend(to: start + size) {
        idle.removeAll { $0 == end }
        return start..<start + size
      }
    }
    let region = Region(atLeast: size)
    regions.append(region)
    guard region.extend(to: region.used.lowerBound + size) else {
      preconditionFailure("a region holds what it is made for")
    }
    return region.used
  }

  private func recycle(_ addresses: Range<Int>) {
    let next = idle.firstIndex { $0.lowerBound > addresses.lowerBound } ?? idle.count
    let joinsLast = next > 0 && idle[next - 1].upperBound == addresses.lowerBound
    let joinsNext = next < idle.count && idle[next].lowerBound == addresses.upperBound
    let start = joinsLast ? idle[next - 1].lowerBound : addresses.lowerBound
    let end = joinsNext ? idle[next].upperBound : addresses.upperBound
    idle.replaceSubrange((joinsLast ? next - 1 : next)..<(joinsNext ? next + 1 : next), with: [start..<end])
  }
}

/// Reserved addresses, used from their start on.
private final class Region {
  private(set) var used: Range<Int>
  private let reserved: Range<Int>
  /// The end of what may be read and written.
  private var granted: Int

  /// For `size` bytes and, as addresses cost nothing, much more; where the system limits those (`ulimit -v`), a little more.
  init(atLeast size: Int) {
    func reserve(_ bytes: Int) -> UnsafeMutableRawPointer? {
      let mapping = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      return mapping == MAP_FAILED ? nil : mapping
    }
    var bytes = max(size, 64 << 30), start = reserve(bytes)
    if start == nil {
      bytes = max(size, 64 << 20)
      start = reserve(bytes)
    }
    let pointer = Memory.granted(start, bytes: bytes)
    madvise(pointer, bytes, MADV_HUGEPAGE)
    let first = Int(bitPattern: pointer)
    (reserved, used, granted) = (first..<first + bytes, first..<first, first)
  }

  deinit { munmap(UnsafeMutableRawPointer(bitPattern: reserved.lowerBound), reserved.count) }

  /// Uses what is in front of `end`; false where that is not reserved. What the system refuses ends the process.
  func extend(to end: Int) -> Bool {
    guard end <= reserved.upperBound else { return false }
    if end > granted {
      let piece = 32 << 20, pieces = (end - granted + piece - 1) / piece
      let more = min(pieces * piece, reserved.upperBound - granted)
      let pointer = UnsafeMutableRawPointer(bitPattern: granted)
      _ = Memory.granted(mprotect(pointer, more, PROT_READ | PROT_WRITE) == 0 ? pointer : nil, bytes: more)
      granted += more
    }
    used = used.lowerBound..<max(used.upperBound, end)
    return true
  }
}
