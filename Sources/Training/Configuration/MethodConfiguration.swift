import Dataset
import Losses
import Network
import Tensors

extension Architecture {
  /// The network that a configuration describes, for this many training identities and cameras.
  package init(_ model: Configuration.Model, identities: Int, cameras: Int = 1) {
    self.init(
      head: model.head, width: model.width, embedding: model.embedding, sharedPyramid: model.sharedPyramid,
      stages: model.stages, lateral: model.lateral, topDown: model.topDown, fusion: model.fusion,
      lastStride: model.lastStride, identities: identities)
    (trunk, norm, filters, attention) = (model.trunk, model.norm, model.filters, model.attention)
    (branch, pyramid, heads) = (model.branch, model.pyramid, model.heads)
    (self.cameras, parts) = (cameras, BodyPart.allCases.count)
    maxPool = model.maxPool
  }
}

extension ReIDLoss {
  /// The terms of a configuration's heads.
  package init(_ configuration: Configuration) {
    guard configuration.model.heads.isEmpty else {
      self.init(
        configuration.model.heads.map {
          ReIDLoss.HeadTerms($0.name, by: $0.label, groups: $0.groups, $0.losses.map(\.term))
        })
      return
    }
    let losses = configuration.losses
    var crossEntropy = CrossEntropy(), triplet = BatchHardTriplet()
    (crossEntropy.weight, crossEntropy.smoothing) = (losses.crossEntropy.weight, losses.crossEntropy.smoothing)
    (triplet.weight, triplet.margin) = (losses.triplet.weight, losses.triplet.margin)
    triplet.soft = losses.triplet.soft
    self.init([ReIDLoss.HeadTerms("", [crossEntropy, triplet])])
  }
}

extension Transforms {
  /// How training images are varied.
  package init(_ configuration: Configuration) {
    let data = configuration.data
    self.init(height: configuration.input.height, width: configuration.input.width, erasingProbability: data.erasing)
    (faces, crop) = (data.faces.train, data.crop)
    (autoAugment, colorJitter, erasingFill) = (data.autoAugment, data.colorJitter, data.erasingFill)
    (partProbability, rotation, grid) = (data.parts, data.rotation, data.grid)
    (rollProbability, sectors) = (data.roll, data.sectors)
    (grayProbability, patchProbability, mixUp) = (data.grayscale, data.patch, data.mixUp)
  }
}

extension Configuration {
  /// The place of the head that tells which part of a person an image shows.
  package var partHead: Int? { model.heads.firstIndex { $0.label == .part && $0.groups.isEmpty } }

  /// What becomes of images that are evaluated or extracted.
  package var evaluationTransforms: Transforms {
    var transforms = Transforms(height: input.height, width: input.width)
    transforms.faces = data.faces.test
    return transforms
  }
}

extension Configuration.Data.Faces {
  /// - Throws: `Failure.data` where they are to be blurred, and no training image of `dataset` says where its face is.
  package func requireTraining(_ dataset: ReIDDataset) throws {
    try train.require(in: dataset.train, of: dataset.root, "data.faces.train")
  }

  /// The same of its queries and gallery, if it has any.
  package func requireTest(_ dataset: ReIDDataset) throws {
    if dataset.hasTest { try test.require(in: dataset.query + dataset.gallery, of: dataset.root, "data.faces.test") }
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

extension GradientRegularizer {
  /// nil where `msgr.lambda` is 0.
  init?(_ msgr: Configuration.MSGR) {
    guard msgr.lambda > 0 else { return nil }
    let norm: Norm =
      switch msgr.norm {
      case .one: .one
      case .two: .two
      case .infinity: .infinity
      }
    self.init(norm: norm, places: msgr.at.map { $0 == .input ? 0 : Int($0.rawValue)! })
  }
}

extension AdaptiveL2 {
  convenience init(_ network: ParameterLayout, _ configuration: Configuration.AdaptiveL2) {
    let kinds = configuration.tensors.map { ParameterLayout.Kind(rawValue: $0.rawValue)! }
    self.init(network, kinds: Set(kinds), amplitude: configuration.amplitude, initial: configuration.initial)
  }
}

extension Configuration.Model {
  /// Heads that tell groups apart have one for every class.
  /// - Throws: `Failure.usage` that names the key.
  func requireGroups(identities: Int, cameras: Int) throws {
    for (index, head) in heads.enumerated() where !head.groups.isEmpty {
      let classes = Architecture(self, identities: identities, cameras: cameras).classes(head.label)
      guard head.groups.count == classes else {
        throw Failure.usage(
          "model.heads[\(index)].groups has \(head.groups.count) numbers; the training set has \(classes) classes of \(head.label.rawValue)"
        )
      }
    }
  }
}
