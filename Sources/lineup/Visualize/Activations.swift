import Dataset
import Layers
import Network
import Pictures
import Tensors
import Training

/// The maps of a network, as heat maps.
///
/// A map is the sum of the absolute values of its channels at each place (section IV-C of the paper; the normalization over places is
/// that of `HeatMap`: from the smallest to the largest).
struct Activations<E: Element> {
  private let network: ReIDNetwork<E>, parameters: Parameters<E.Accumulator>, context: Context<E>
  private let transforms: Transforms

  /// Packs the network's weights for evaluation.
  init(
    _ network: ReIDNetwork<E>, _ parameters: Parameters<E.Accumulator>, _ configuration: Configuration,
    _ context: Context<E>
  ) {
    (self.network, self.parameters, self.context) = (network, parameters, context)
    transforms = configuration.evaluationTransforms
    network.pack(parameters, training: false, context)
  }

  /// An image as the network sees it, beside its maps.
  /// - Throws: `Failure.data` with the path of an image that cannot be decoded, or whose maps are not finite.
  func row(of sample: Sample) throws -> ActivationSheet.Row {
    let pixels = transforms.evaluation(try transforms.source(sample))
    let images: Tensor<E> = InputNormalization.forward(
      pixels, height: transforms.height, width: transforms.width, context)
    let maps = try network.maps(images, parameters, context).map { ($0.name, Self.heat($0.values)) }
    _ = context.workers.timeline.take()  // nobody asks for the spans
    guard maps.allSatisfy({ $0.1.values.allSatisfy(\.isFinite) }) else {
      throw Failure.data(sample.path, "its activations are not finite")
    }
    return ActivationSheet.Row(
      ShownName.last(sample.path), RGBImage(width: transforms.width, height: transforms.height, pixels: pixels), maps)
  }

  /// Σ|a| over the channels, of the first image.
  private static func heat<A: Element>(_ map: Tensor<A>) -> HeatMap {
    let shape = map.shape
    let values = (0..<shape.area).map { pixel in
      (0..<shape.channels).reduce(0.0) { $0 + abs(Double(map.pointer[pixel * shape.channels + $1])) }
    }
    return HeatMap(rows: shape.height, columns: shape.width, values)
  }
}
