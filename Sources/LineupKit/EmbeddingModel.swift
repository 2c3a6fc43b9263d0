import Collectives
import Dataset
import Evaluation
import Foundation
import Network
import Tensors
import Training

/// A trained network, ready to embed images as `lineup extract` does.
///
///     let model = try EmbeddingModel(checkpoint: "runs/market")
///     let features = try model.embed(files: ["a.jpg", "b.jpg"])
///
/// It may be used by several threads; one of them computes at a time, on as many threads as it was made with.
public final class EmbeddingModel: @unchecked Sendable {
  /// To what images are resized.
  public let inputHeight: Int, inputWidth: Int
  /// Of an embedding.
  public let length: Int
  private let lock = NSLock()
  private let features: ([RGBImage]) throws -> FeatureMatrix

  /// - Parameters:
  ///   - path: a checkpoint's folder, or a run's (its latest checkpoint). Its files are compared with their checksums.
  ///   - threads: 0 takes the cores that this process may use.
  ///   - settings: over those of the checkpoint, such as `evaluation.flip=true` or `precision.multiply=exact`.
  public init(checkpoint path: String, threads: Int = 0, settings: [String] = []) throws(LineupError) {
    let loaded = try LineupError.wrapping { () throws -> Loaded in
      guard (0...4096).contains(threads) else {
        throw Failure.usage("threads is \(threads); it must be from 0 to 4096")
      }
      let saved = try Checkpoint(path: path)
      let configuration = try Configuration.resolve(settings: settings, base: saved.state.configuration)
      guard configuration.data.faces.test == .clear else {
        throw Failure.usage(
          "data.faces.test is \(configuration.data.faces.test.rawValue); images here do not say where faces are")
      }
      return try Loaded(saved, configuration, threads: threads)
    }
    (inputHeight, inputWidth, length, features) = (loaded.height, loaded.width, loaded.length, loaded.features)
  }

  /// What `init` has of a checkpoint, whatever its elements are.
  private struct Loaded {
    let height: Int, width: Int, length: Int
    let features: ([RGBImage]) throws -> FeatureMatrix

    init(_ saved: Checkpoint, _ configuration: Configuration, threads: Int) throws {
      (height, width) = (configuration.input.height, configuration.input.width)
      let machine = try Machine(SoloCommunicator(), threads: threads)
      func make<E: Element>(_: E.Type) throws -> (Int, ([RGBImage]) throws -> FeatureMatrix) {
        let (network, parameters) = try saved.network(E.self)
        let extractor = FeatureExtractor(network, parameters, configuration, machine.context(E.self, configuration))
        return (network.descriptorLength, { try extractor.features(of: $0) { "image \($0 + 1)" } })
      }
      (length, features) = try make(configuration.precision.storage.element)
    }
  }

  /// The embeddings of `images`, in their order.
  /// - Throws: `LineupError` of kind `data` where they are not finite.
  public func embed(_ images: [Image]) throws(LineupError) -> Embeddings {
    let matrix = try LineupError.wrapping {
      do {
        return try lock.withLock { try features(images.map(\.pixels)) }
      } catch let reason as NonfiniteFeatures {
        throw Failure.data("\(reason)")
      }
    }
    return Embeddings(checked: matrix)
  }

  /// The embeddings of JPEG or PNG files, in their order.
  /// - Throws: `LineupError` of kind `data` with the path of a file that cannot be read or decoded.
  public func embed(files: [String]) throws(LineupError) -> Embeddings {
    var images: [Image] = []
    for path in files { images.append(try Image(file: path)) }
    return try embed(images)
  }
}
