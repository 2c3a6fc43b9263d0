/// The trunks there are.
package enum TrunkKind: String, CaseIterable, Sendable { case resnet18, resnet34, resnet50, resnet101 }

/// What normalizes in a trunk.
package enum TrunkNorm: String, CaseIterable, Sendable {
  case batch
  /// Instance norm of half the channels of the first norm of every block, but for the last stage's (IBN-a; Pan et al., 2018).
  case ibnA = "ibn-a"
}

/// Attention within a trunk.
package enum TrunkAttention: String, CaseIterable, Sendable {
  case none
  /// Squeeze-and-excitation in every block, a 16th of the channels in between (Hu et al., 2018).
  case se
  /// A gate a pixel, or a pixel and channel, at the end of every stage.
  case pixel, pixelChannel
  /// Efficient channel attention in every block (Wang et al., 2020).
  case eca
}
