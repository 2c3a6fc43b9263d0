import Tensors
import Testing

@Suite struct ArenaTests {
  @Test func blocksAreAlignedWritableAndDisjoint() {
    let arena = Arena()
    let sizes = [0, 1, 100, 4096, 4097, 10_000, 3 << 20]
    let blocks = sizes.map { arena.block(bytes: $0) }
    for (index, (block, size)) in zip(blocks, sizes).enumerated() {
      #expect(UInt(bitPattern: block.pointer) % 4096 == 0)
      block.pointer.initializeMemory(as: UInt8.self, repeating: UInt8(index + 1), count: size)
    }
    for (index, (block, size)) in zip(blocks, sizes).enumerated() {
      let bytes = UnsafeRawBufferPointer(start: block.pointer, count: size)
      #expect(bytes.allSatisfy { $0 == UInt8(index + 1) })
    }
  }

  @Test func aReleasedBlockServesAgain() {
    let arena = Arena()
    var tensor: Tensor<Float>? = Tensor(Shape(1, 16, 16, 16), in: arena)
    let pointer = tensor!.pointer
    let copy = tensor
    tensor = Tensor(Shape(1, 16, 16, 16), in: arena)
    #expect(tensor!.pointer != pointer, "a copy still refers to the first block")
    withExtendedLifetime(copy) {}
    #expect(arena.peakBytes == 2 * 16_384)
    tensor = nil
    for _ in 0..<100 { _ = Tensor<Float>(Shape(1, 16, 16, 16), in: arena) }
    #expect(arena.peakBytes == 2 * 16_384)
  }

  /// A request takes the smallest idle memory that is large enough, and leaves the rest of it idle.
  @Test func reuseTakesTheTightestFit() {
    let arena = Arena()
    let page = 4096
    var blocks: [Arena.Block?] = [20, 1, 24, 1, 30, 1].map { arena.block(bytes: $0 * page) }
    let pointers = blocks.map { $0!.pointer }
    for index in [0, 2, 4] { blocks[index] = nil }
    let tight = arena.block(bytes: 21 * page)
    #expect(tight.pointer == pointers[2])
    let next = arena.block(bytes: 19 * page)
    #expect(next.pointer == pointers[0])
    let half = arena.block(bytes: 15 * page), otherHalf = arena.block(bytes: 15 * page)
    #expect(half.pointer == pointers[4])
    #expect(otherHalf.pointer == pointers[4] + 15 * page)
    #expect(arena.peakBytes == 77 * page)
    withExtendedLifetime((blocks, tight, next, half, otherHalf)) {}
  }

  /// Idle neighbours serve as one, in whatever order they have become idle; at the end the arena grows by what is missing.
  @Test(arguments: [[0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2]])
  func neighboursJoin(order: [Int]) {
    let arena = Arena()
    let page = 4096
    var blocks: [Arena.Block?] = [5, 6, 7].map { arena.block(bytes: $0 * page) }
    let first = blocks[0]!.pointer
    for index in order { blocks[index] = nil }
    var whole: Arena.Block? = arena.block(bytes: 18 * page)
    #expect(whole!.pointer == first && arena.peakBytes == 18 * page)
    whole = nil
    let more = arena.block(bytes: 20 * page)
    #expect(more.pointer == first && arena.peakBytes == 20 * page)
  }

  /// Blocks of any sizes, some given back at any time, never overlap, and what is idle in the end is one piece.
  @Test func blocksNeverOverlap() {
    let arena = Arena()
    var live: [(block: Arena.Block, size: Int, mark: UInt8)] = [], state: UInt64 = 7
    func draw(_ count: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % count
    }
    for turn in 0..<2000 {
      if !live.isEmpty, draw(2) == 0 {
        let (block, size, mark) = live.remove(at: draw(live.count))
        let bytes = UnsafeRawBufferPointer(start: block.pointer, count: size)
        #expect(bytes.first == mark && bytes[size / 2] == mark && bytes.last == mark)
      } else {
        let size = 1 + draw(50_000), mark = UInt8(turn % 251)
        let block = arena.block(bytes: size)
        block.pointer.initializeMemory(as: UInt8.self, repeating: mark, count: size)
        live.append((block, size, mark))
      }
    }
    live = []
    let peak = arena.peakBytes
    let all = arena.block(bytes: peak)
    #expect(arena.peakBytes == peak)
    withExtendedLifetime(all) {}
  }

  @Test func peakIsWhatLivesAtOnce() {
    let arena = Arena()
    func step() {
      var live: [Arena.Block] = []
      for size in [5, 9, 3, 7] { live.append(arena.block(bytes: size * 4096)) }
      live.removeFirst(2)
      live.append(arena.block(bytes: 9 * 4096))
      withExtendedLifetime(live) {}
    }
    step()
    let peak = arena.peakBytes
    #expect(peak == 24 * 4096)
    for _ in 0..<10 { step() }
    #expect(arena.peakBytes == peak)
  }

  /// Untouched blocks are address space only: 1 TiB of them can be had.
  @Test func blocksAreMappedLazily() {
    let arena = Arena()
    let blocks = (0..<16).map { _ in arena.block(bytes: 64 << 30) }
    #expect(arena.peakBytes == 1 << 40)
    blocks[7].pointer.storeBytes(of: 42, toByteOffset: 63 << 30, as: Int.self)
    #expect(blocks[7].pointer.load(fromByteOffset: 63 << 30, as: Int.self) == 42)
  }
}
