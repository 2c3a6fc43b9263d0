/// The trunks there are.
package enum TrunkKind: String, CaseIterable, Sendable { case resnet18, resnet34, resnet50, resnet101 }

/// What normalizes in a trunk.
package enum TrunkNorm: String, CaseIterable, Sendable {
  case batch
  /// Instance norm of half the channels of the first norm of every block, but for the last stage's (IBN-a; Pan et al., 2018).
  case ibnA = "ibn-a"
}
