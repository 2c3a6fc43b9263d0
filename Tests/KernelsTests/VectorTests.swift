import CKernels
import Foundation
import Tensors
import Testing

/// Kernels over flat buffers: add, steps of a grid, nonfinite, Adam.
@Suite struct VectorTests {
  private static let counts = [0, 1, 7, 16, 33, 1003]

  private func checkAddition<A: Element>(_: A.Type) where A.Accumulator == A {
    for (name, kernels) in elementwiseTables(A.self) {
      for count in Self.counts {
        let memory = Memory(seed: 1)
        let x: [A] = memory.normals(count)
        let y: [Double] = memory.normals(count)
        for rounding in [0, 0x1.8p52 * 0x1p-8] {
          let sum = memory.place(y + [5])
          kernels.add(memory.place(x), count, rounding, sum)
          let expected = zip(x, y).map {
            $1 + (rounding == 0 ? Double($0) : (Double($0) * 256).rounded(.toNearestOrEven) / 256)
          }
          #expect(sum.array(count + 1) == expected + [5], "\(name), \(count)")
        }
      }
    }
  }

  @Test func addition() {
    checkAddition(Float.self)
    checkAddition(Double.self)
  }

  @Test func stepsOfAGrid() {
    for (name, kernels) in elementwiseTables(Double.self) {
      for count in Self.counts {
        let memory = Memory(seed: 3), step = 0x1p-9
        let x: [Double] = memory.normals(count).map { $0 * 1000 }
        let steps = memory.place([Int32](repeating: 7, count: count + 1))
        let largest = kernels.to_steps(memory.place(x, slack: 8, filler: .nan), count, 1 / step, steps)
        #expect(largest == x.map { abs($0) / step }.max() ?? 0, "\(name), \(count)")
        let expected = x.map { Int32(($0 / step).rounded(.toNearestOrEven)) }
        #expect(steps.array(count + 1) == expected + [7], "\(name), \(count)")
        let back = memory.place([Double](repeating: 5, count: count + 1))
        kernels.from_steps(steps, count, step, back)
        #expect(back.array(count + 1) == expected.map { Double($0) * step } + [5], "\(name), \(count)")
        for position in [0, count / 2, count - 1] where count > 0 {
          for bad in [Double.nan, .infinity, -.infinity] {
            var y = x
            y[position] = bad
            #expect(
              kernels.to_steps(memory.place(y), count, 1 / step, steps) == .infinity, "\(name), \(bad) at \(position)")
          }
        }
      }
    }
  }

  private func checkNonfinite<A: Element>(_: A.Type) where A.Accumulator == A {
    for (name, kernels) in elementwiseTables(A.self) {
      for count in Self.counts {
        let memory = Memory(seed: 2)
        var x: [Double] = memory.normals(count)
        if count > 3 {
          x.replaceSubrange(0..<3, with: [.greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude])
        }
        #expect(kernels.nonfinite(memory.place(x, slack: 8, filler: .nan), count) == 0, "\(name), \(count)")
        for position in [0, count / 2, count - 1] where count > 0 {
          for bad in [Double.nan, .infinity, -.infinity, .signalingNaN] {
            var y = x
            y[position] = bad
            #expect(kernels.nonfinite(memory.place(y), count) == 1, "\(name), \(bad) at \(position) of \(count)")
          }
        }
        #expect(
          kernels.nonfinite(memory.place([Double](repeating: .nan, count: count)), count) == count, "\(name), \(count)")
      }
    }
  }

  @Test func nonfiniteValuesAreCounted() {
    checkNonfinite(Float.self)
    checkNonfinite(Double.self)
  }

  /// Several steps of Kingma and Ba's algorithm 1 in float64, with L2 decay (`decay`) or decoupled (`shrink`).
  private func checkAdam<A: Element>(_: A.Type) where A.Accumulator == A {
    let beta1 = 0.9
    let beta2 = 0.999
    let learningRate = 3.5e-2
    let epsilon = 1e-8
    for (name, kernels) in elementwiseTables(A.self) {
      for (scale, decay, shrink) in [(1, 0, 0), (0.125, 5e-2, 0), (8, 0, 1e-2), (0.5, 1e-1, 1e-1)]
        as [(Double, Double, Double)]
      {
        for count in [1, 17, 200] {
          let memory = Memory(seed: UInt64(count))
          let start: [A] = memory.normals(count)
          let w = memory.place(start + [5])
          let m = memory.place([A](repeating: 0, count: count + 1))
          let v = memory.place([A](repeating: 0, count: count + 1))
          var wx = start.map { Double($0) }
          var mx = [Double](repeating: 0, count: count)
          var vx = mx
          for t in 1...5 {
            let g: [Double] = memory.normals(count, deviation: 1 / scale)
            kernels.adam(
              w, memory.place(g), m, v, count, scale, decay, shrink, beta1, beta2,
              learningRate / (1 - pow(beta1, Double(t))),
              1 / (1 - pow(beta2, Double(t))).squareRoot(), epsilon)
            for i in 0..<count {
              let gradient = scale * g[i] + decay * wx[i]
              mx[i] = beta1 * mx[i] + (1 - beta1) * gradient
              vx[i] = beta2 * vx[i] + (1 - beta2) * gradient * gradient
              let mHat = mx[i] / (1 - pow(beta1, Double(t)))
              let vHat = vx[i] / (1 - pow(beta2, Double(t)))
              wx[i] = (1 - shrink) * wx[i] - learningRate * mHat / (vHat.squareRoot() + epsilon)
            }
          }
          let ones = [Double](repeating: 1, count: count)
          #expect(disagreements(w.array(count), wx, magnitudes: ones, steps: 64).isEmpty, "\(name) w")
          #expect(disagreements(m.array(count), mx, magnitudes: ones, steps: 64).isEmpty, "\(name) m")
          #expect(disagreements(v.array(count), vx, magnitudes: vx, steps: 64).isEmpty, "\(name) v")
          #expect(w[count] == 5 && m[count] == 0 && v[count] == 0, "\(name) wrote behind the range")
        }
      }
    }
  }

  @Test func adam() {
    checkAdam(Float.self)
    checkAdam(Double.self)
  }

  /// AMSGrad, and gradient descent with and without momentum, against the same arithmetic in float64; the average too.
  private func checkUpdates<A: Element>(_: A.Type) where A.Accumulator == A {
    let (beta1, beta2, rate, root, epsilon) = (0.9, 0.5, 3e-2, 1.3, 1e-8)
    for (name, kernels) in elementwiseTables(A.self) {
      for count in [1, 17, 200] {
        let memory = Memory(seed: UInt64(count))
        let start: [A] = memory.normals(count), ones = [Double](repeating: 1, count: count)
        func fresh(_ values: [A]) -> UnsafeMutablePointer<A> { memory.place(values + [5]) }
        let zeros = [A](repeating: 0, count: count)
        var expected = [[Double]](repeating: start.map { Double($0) }, count: 4)
        var (mx, vx, largest, momentum) = (
          ones.map { _ in 0.0 }, ones.map { _ in 0.0 }, ones.map { _ in 0.0 }, ones.map { _ in 0.0 }
        )
        let (w, m, v, x) = (fresh(start), fresh(zeros), fresh(zeros), fresh(zeros))
        let (plain, heavy, ahead, average) = (fresh(start), fresh(start), fresh(start), fresh(start))
        let (m1, m2) = (fresh(zeros), fresh(zeros))
        var momentumAhead = momentum
        for t in 1...4 {
          let g: [Double] = memory.normals(count, deviation: 8 / Double(t)), gradients = memory.place(g)
          kernels.amsgrad(w, gradients, m, v, x, count, 0.5, 0.1, 0.01, beta1, beta2, rate, root, epsilon)
          kernels.sgd(plain, gradients, nil, count, 0.5, 0.1, 0.01, 0.9, 0, rate)
          kernels.sgd(heavy, gradients, m1, count, 0.5, 0.1, 0.01, 0.9, 0, rate)
          kernels.sgd(ahead, gradients, m2, count, 0.5, 0.1, 0.01, 0.9, 1, rate)
          for i in 0..<count {
            func gradient(_ k: Int) -> Double { 0.5 * g[i] + 0.1 * expected[k][i] }
            mx[i] = beta1 * mx[i] + (1 - beta1) * gradient(0)
            vx[i] = beta2 * vx[i] + (1 - beta2) * gradient(0) * gradient(0)
            largest[i] = max(largest[i], vx[i])
            momentum[i] = 0.9 * momentum[i] + gradient(2)
            momentumAhead[i] = 0.9 * momentumAhead[i] + gradient(3)
            let moves = [
              mx[i] / (largest[i].squareRoot() * root + epsilon), gradient(1), momentum[i],
              gradient(3) + 0.9 * momentumAhead[i],
            ]
            for k in 0..<4 { expected[k][i] = 0.99 * expected[k][i] - rate * moves[k] }
          }
        }
        for (found, expected) in zip([w, plain, heavy, ahead], expected) {
          #expect(disagreements(found.array(count), expected, magnitudes: ones, steps: 64).isEmpty, "\(name), \(count)")
          #expect(found[count] == 5, "\(name) wrote behind the range")
        }
        // Squared gradients fall from step to step: the largest is not the last.
        #expect(disagreements(x.array(count), largest, magnitudes: largest, steps: 64).isEmpty && largest != vx)
        kernels.average(w, count, 0.25, average)
        let mean = (0..<count).map { Double(start[$0]) + 0.25 * (Double(w[$0]) - Double(start[$0])) }
        #expect(disagreements(average.array(count), mean, magnitudes: ones, steps: 8).isEmpty && average[count] == 5)
      }
    }
  }

  @Test func otherUpdates() {
    checkUpdates(Float.self)
    checkUpdates(Double.self)
  }
}
