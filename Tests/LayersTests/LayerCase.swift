import Layers
import Tensors
import Testing

/// A layer as the generic checks see it: tensors in, a tensor out, and the passes that follow.
protocol LayerCase: Sendable, CustomTestStringConvertible {
  var name: String { get }
  /// The inputs of one image.
  var inputs: [Shape] { get }
  /// Linear in its inputs (and without bias).
  var isLinear: Bool { get }
  func build<E: Element>(_: E.Type) -> BuiltLayer<E>
}

extension LayerCase {
  var isLinear: Bool { false }
  var testDescription: String { name }
}

/// A layer with storage `E`; one a rank.
struct BuiltLayer<E: Element> {
  typealias A = E.Accumulator
  /// What a forward pass leaves to the others.
  struct Pass {
    /// The output, image by image.
    let y: [Double]
    /// From the tangents of the inputs to that of the output; after a recording backward pass.
    let forwardTangent: (_ xDots: [Tensor<E>]) throws -> [Double]
    /// From the gradient of the output to those of the inputs; what becomes of those of the parameters, `pass` says.
    let backward: (_ yBar: [Double], _ pass: BackwardPass) throws -> [[Double]]
  }

  let layout: ParameterLayout, statistics: ParameterLayout
  let pack: (Parameters<A>, Context<E>) -> Void
  let run: ([Tensor<E>], Run<E>) throws -> Pass
}

/// Values of a whole batch, all float16 numbers, so that every precision starts from the same.
struct Values: Sendable {
  var inputs: [[Double]]
  var parameters: [[Double]]
  /// ẋ.
  let tangents: [[Double]]
  let images: Int
  let seed: UInt64
  /// Where these values stand on a line along (ẋ, ȳ˙).
  private var step = 0.0

  /// κ: what tangents count in the regularized loss.
  static var tangentWeight: Double { 0.5 }

  init(_ layer: some LayerCase, images: Int, seed: UInt64 = 1) {
    var random = CounterRandom(seed: seed, purpose: .probing)
    func half(_ value: Double) -> Double { Double(Float16(value)) }
    inputs = layer.inputs.map { shape in (0..<images * shape.count).map { _ in half(random.normal()) } }
    parameters = layer.build(Double.self).layout.slots.map { slot in
      (0..<slot.count).map { _ in
        switch slot.kind {
        case .normScale: half(1 + 0.3 * random.normal())
        case .exponent: half(3 + 0.3 * random.normal())
        case .convolution: half(random.normal() / Double(slot.count / slot.shape[0]).squareRoot())
        default: half(0.5 * random.normal())
        }
      }
    }
    tangents = layer.inputs.map { shape in (0..<images * shape.count).map { _ in half(random.normal()) } }
    (self.images, self.seed) = (images, seed)
  }

  /// x + step·ẋ, and ȳ + step·ȳ˙.
  func moved(by step: Double) -> Values {
    var moved = self
    moved.inputs = zip(inputs, tangents).map { zip($0, $1).map { $0 + step * $1 } }
    moved.step = step
    return moved
  }

  /// ȳ, for a y of `count` values over all images.
  func cotangent(_ count: Int) -> [Double] {
    let yBar = normals(count, position: 1)
    guard step != 0 else { return yBar }
    return zip(yBar, regularizedCotangent(count)).map { $0 + step * ($1 - $0) / Self.tangentWeight }
  }

  /// h = ȳ + κȳ˙. It is h that is drawn, and ȳ˙ follows.
  func regularizedCotangent(_ count: Int) -> [Double] { normals(count, position: 2) }

  private func normals(_ count: Int, position: Int) -> [Double] {
    var random = CounterRandom(seed: seed, position: position, purpose: .probing)
    return (0..<count).map { _ in Double(Float16(random.normal())) }
  }
}

func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
func norm(_ a: [Double]) -> Double { dot(a, a).squareRoot() }

/// ‖a − b‖ / ‖b‖, or infinite where the counts differ.
func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  let difference = norm(zip(a, b).map { $0 - $1 })
  return difference == 0 ? 0 : difference / norm(b)
}
