import Collectives
import Kernels
import Layers
import Tensors
import Testing

@Suite struct InputNormalizationTests {
  private func check<E: Element>(_: E.Type) {
    var random = CounterRandom(seed: 1, purpose: .probing)
    let images = 3
    let height = 5
    let width = 4
    let pixels = (0..<images * height * width * 3).map { _ in UInt8(random.integer(below: 256)) }
    let context = Context<E>(
      workers: Workers(count: 2), communicator: SoloCommunicator(), arena: Arena(),
      kernels: Kernels(path: KernelPath.available[0]))
    let x = InputNormalization.forward(pixels, height: height, width: width, context)
    #expect(x.shape == Shape(images, height, width, 3))
    let mean = [0.485, 0.456, 0.406]
    let deviation = [0.229, 0.224, 0.225]
    var expected: [E] = []
    for (i, byte) in pixels.enumerated() { expected.append(E((Double(byte) / 255 - mean[i % 3]) / deviation[i % 3])) }
    #expect(x.array == expected)
    #expect(InputNormalization.forward([], height: 5, width: 4, context).shape == Shape(0, 5, 4, 3))
  }

  @Test func imageNetStatistics() {
    check(Float16.self)
    check(Float.self)
    check(Double.self)
  }
}
