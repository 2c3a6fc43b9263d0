import CKernels
import Tensors
import Testing

/// Kernels pixel by pixel: the residual join, sums over pixels, the normalization of bytes.
@Suite struct PixelTests {
  private func checkJoin<E: Element>(_: E.Type) {
    typealias A = E.Accumulator
    for (name, kernels) in elementwiseTables(E.self) {
      for (pixels, channels) in [(1, 1), (3, 7), (2, 64), (5, 131)] {
        for normalized in [false, true] {
          let memory = Memory(seed: UInt64(channels))
          let count = pixels * channels
          let z: [E] = memory.normals(count)
          let x: [E] = memory.normals(count)
          let a1: [A] = memory.normals(channels)
          let b1: [A] = memory.normals(channels)
          let a2: [A] = memory.normals(channels)
          let b2: [A] = memory.normals(channels)
          let y = memory.place([E](repeating: 9, count: count + 1))
          kernels.join(
            memory.place(z), memory.place(a1), memory.place(b1), memory.place(x), normalized ? memory.place(a2) : nil,
            normalized ? memory.place(b2) : nil, pixels, channels, y)
          var expected: [Double] = []
          var magnitudes: [Double] = []
          for i in 0..<count {
            let j = i % channels
            let left = Double(a1[j]) * Double(z[i])
            let right = normalized ? Double(a2[j]) * Double(x[i]) : Double(x[i])
            let shifts = Double(b1[j]) + (normalized ? Double(b2[j]) : 0)
            expected.append(max(0, left + right + shifts))
            magnitudes.append(abs(left) + abs(right) + abs(Double(b1[j])) + abs(Double(b2[j])))
          }
          #expect(
            disagreements(y.array(count), expected, magnitudes: magnitudes).isEmpty, "\(name), normalized \(normalized)"
          )
          #expect(y[count] == 9)
        }
      }
    }
  }

  @Test func join() {
    checkJoin(Float16.self)
    checkJoin(Float.self)
    checkJoin(Double.self)
  }

  @Test func joinKeepsNonfiniteValues() {
    for (name, kernels) in elementwiseTables(Float16.self) {
      let memory = Memory(seed: 1)
      let ones = memory.place([Float](repeating: 1, count: 4))
      let zeros = memory.place([Float](repeating: 0, count: 4))
      let z = memory.place([Float16.nan, 1, .infinity, 1])
      let x = memory.place([Float16(1), .nan, 1, .infinity])
      for scale in [nil, ones] {
        let y: UnsafeMutablePointer<Float16> = memory.normal(4)
        kernels.join(z, ones, zeros, x, scale, scale == nil ? nil : zeros, 1, 4, y)
        #expect(y[0].isNaN && y[1].isNaN && y[2] == .infinity && y[3] == .infinity, "\(name)")
      }
    }
  }

  private func checkSums<E: Element>(_: E.Type) {
    for (name, kernels) in elementwiseTables(E.self) {
      for channels in [1, 6, 64, 133] {
        let memory = Memory(seed: 2)
        let pixels = 40
        let x: [E] = memory.normals(pixels * channels)
        let start: [Double] = memory.normals(channels)
        let listed: [UInt32] = [3, 39, 0, 3, 17, 20]
        for list in [nil, listed] {
          let chosen = list?.map { Int($0) } ?? Array(5..<31)
          let sums = memory.place(start)
          kernels.sum_pixels(memory.place(x), list.map { memory.place($0) }, 5, chosen.count, channels, sums)
          var expected = start
          for pixel in chosen { for i in 0..<channels { expected[i] += Double(x[pixel * channels + i]) } }
          #expect(sums.array(channels) == expected, "\(name), \(channels) channels: float64, in order")
        }
        let sums = memory.place(start)
        kernels.sum_pixels(memory.place(x), nil, 0, 0, channels, sums)
        #expect(sums.array(channels) == start)
      }
    }
  }

  @Test func sumsOverPixels() {
    checkSums(Float16.self)
    checkSums(Float.self)
    checkSums(Double.self)
  }

  private func checkNormalization<E: Element>(_: E.Type) {
    let mean = [0.485, 0.456, 0.406]
    let deviation = [0.229, 0.224, 0.225]
    for (name, kernels) in elementwiseTables(E.self) {
      let memory = Memory(seed: 3)
      // every byte in every channel
      var bytes: [UInt8] = []
      for pixel in 0..<256 { for channel in 0..<3 { bytes.append(UInt8((pixel + 85 * channel) % 256)) } }
      let out = memory.place([E](repeating: 9, count: bytes.count + 1))
      kernels.normalize(memory.place(bytes), 256, mean, deviation, out)
      var expected: [E] = []
      for (i, byte) in bytes.enumerated() { expected.append(E((Double(byte) / 255 - mean[i % 3]) / deviation[i % 3])) }
      #expect(out.array(bytes.count) == expected, "\(name): float64, rounded once")
      #expect(out[bytes.count] == 9)
    }
  }

  @Test func normalization() {
    checkNormalization(Float16.self)
    checkNormalization(Float.self)
    checkNormalization(Double.self)
  }
}
