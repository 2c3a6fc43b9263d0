/// The trunks there are.
package enum TrunkKind: String, CaseIterable, Sendable { case resnet18, resnet34, resnet50, resnet101 }

/// What normalizes in a trunk.
package enum TrunkNorm: String, CaseIterable, Sendable {
  case batch
  case ibnA = "ibn-a"

  package var meaning: String {
    switch self {
    case .batch: "batch norm"
    case .ibnA:
      "instance norm of half the channels of the first norm of every block, but for the last stage's (Pan et al., 2018)"
    }
  }
}
