import Layers
/// The trunks there are.
package enum TrunkKind: String, CaseIterable, Sendable {
  case resnet18, resnet34, resnet50, resnet101, osnet, osnetAin

  /// What is published under the names of its tensors.
  package var meaning: String {
    switch self {
    case .resnet18, .resnet34, .resnet50, .resnet101: "ResNet, torchvision's tensor names"
    case .osnet: "OSNet, torchreid's tensor names"
    case .osnetAin: "OSNet-AIN, torchreid's tensor names"
    }
  }
  /// Whether `model.norm` and `model.lastStride` are for it.
  package var isResNet: Bool { self != .osnet && self != .osnetAin }
}

/// What normalizes in a trunk.
package enum TrunkNorm: String, CaseIterable, Sendable {
  case batch
  case ibnA = "ibn-a"
  case bias

  package var meaning: String {
    switch self {
    case .batch: "batch norm"
    case .ibnA:
      "instance norm of half the channels of the first norm of every block, but for the last stage's (Pan et al., 2018)"
    case .bias: "nothing, a bias a channel in its place, for `model.filters: aligned`"
    }
  }
}

/// What the filters of a trunk's convolutions go through before they are used.
package enum TrunkFilters: String, CaseIterable, Sendable {
  case plain, aligned, spectral

  package var meaning: String {
    switch self {
    case .plain: "nothing"
    case .aligned: "WeightAlign: mean 0, and a trained variance in the tensor `<convolution>.gain`"
    case .spectral: "divided by the largest singular value of a layer's filters"
    }
  }

  var transform: FilterTransform {
    switch self {
    case .plain: .none
    case .aligned: .aligned
    case .spectral: .spectral
    }
  }
}
