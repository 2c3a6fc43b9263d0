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

  /// A smaller request takes an idle block that is at most a quarter larger, the smallest such.
  @Test func reuseTakesTheTightestFit() {
    let arena = Arena()
    let page = 4096
    var blocks: [Arena.Block?] = [20, 24, 30].map { arena.block(bytes: $0 * page) }
    let pointers = blocks.map { $0!.pointer }
    blocks = [nil, nil, nil]
    #expect(arena.peakBytes == 74 * page)
    let tight = arena.block(bytes: 21 * page)
    #expect(tight.pointer == pointers[1])
    let next = arena.block(bytes: 19 * page)
    #expect(next.pointer == pointers[0])
    let small = arena.block(bytes: 10 * page)
    #expect(small.pointer != pointers[2], "30 pages are too many for 10")
    #expect(arena.peakBytes == 84 * page)
    let last = arena.block(bytes: 30 * page)
    #expect(last.pointer == pointers[2])
    withExtendedLifetime((tight, next, small, last)) {}
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
