import Network
import Tensors

extension Architecture {
  /// The network that a configuration describes, for this many training identities.
  package init(_ model: Configuration.Model, identities: Int) {
    self.init(
      head: model.head, width: model.width, embedding: model.embedding, sharedPyramid: model.sharedPyramid,
      stages: model.stages, lateral: model.lateral, topDown: model.topDown, fusion: model.fusion,
      lastStride: model.lastStride, identities: identities)
  }
}

extension Tensors.Precision {
  /// The element that storage is generic over.
  package var element: any Element.Type {
    switch self {
    case .float16: Float16.self
    case .float32: Float.self
    case .float64: Double.self
    }
  }
}
