import Tensors
import Testing

@Suite struct BufferTests {
  @Test(arguments: [0, 1, 15, 16, 17, 1000]) func isZeroAndAligned(_ count: Int) {
    let bytes = Buffer<Double>(count: count)
    #expect(UInt(bitPattern: bytes.pointer) % 64 == 0)
    #expect(bytes.array == [Double](repeating: 0, count: count))
    #expect(bytes.bytes == 8 * count && bytes.span.count == count)
  }

  @Test func copiesAndClears() {
    let a = Buffer<Float>([1, 2, 3])
    let b = Buffer<Float>(count: 3)
    b.copy(from: a)
    b[1] = 7
    #expect(a.array == [1, 2, 3] && b.array == [1, 7, 3])
    a.zero()
    #expect(a.array == [0, 0, 0])
  }
}

@Suite struct TensorTests {
  @Test func shapeCounts() {
    let shape = Shape(2, 3, 5, 7)
    #expect(shape.area == 15 && shape.pixels == 30 && shape.count == 210)
    #expect(shape.with(channels: 4) == Shape(2, 3, 5, 4))
    #expect("\(shape)" == "2×3×5×7")
  }

  @Test func aCopyIsASecondReference() {
    let arena = Arena()
    let a = Tensor<Float16>(Shape(1, 1, 2, 2), in: arena)
    let b = a
    let c = Tensor<Float16>(a.shape, in: arena)
    a.fill([1, 2, 3, 4])
    c.fill([5, 6, 7, 8])
    b.pointer[3] = 9
    #expect(a.array == [1, 2, 3, 9] && c.array == [5, 6, 7, 8])
    #expect(a.pointer == b.pointer && a.pointer != c.pointer)
  }

  @Test func elementsKnowTheirAccumulators() {
    #expect(Float16.precision == .float16 && Float.precision == .float32 && Double.precision == .float64)
    #expect(Float16.Accumulator.precision == .float32)
    #expect(Float.Accumulator.precision == .float32)
    #expect(Double.Accumulator.precision == .float64)
  }

  @Test func failuresCarryTheirExitCodes() {
    #expect(Failure.usage("a").kind.rawValue == 64 && Failure.data("b").kind.rawValue == 65)
    #expect(Failure.internal("c").kind.rawValue == 70 && Failure.Kind.stopped.rawValue == 75)
    #expect("\(Failure.data("x.csv: line 3"))" == "x.csv: line 3")
  }
}
