import Tensors

/// Which network: ResNet-50 with the multi-scale head of the paper (MSFL) or without, and the paper's ablations.
package struct Architecture: Sendable, Equatable {
  package enum Head: String, Sendable, CaseIterable {
    /// Stages fused by a feature pyramid (MSFL, section III-A of the paper).
    case msfl
    /// Stage 4 alone, through the same neck.
    case baseline
  }

  package var head: Head
  /// Scales every channel count of backbone and pyramid.
  package var width: Double
  /// Length of the embedding.
  package var embedding: Int
  /// Whether the fusion bottlenecks share one set of convolution weights, and the smoothing convolutions another.
  package var sharedPyramid: Bool
  /// The stages (1…4, ascending, the last one 4) whose averages make the feature.
  package var stages: [Int]
  /// 1×1 convolutions from every fused stage into the pyramid.
  package var lateral: Bool
  /// Upsampling from each fused stage into the one below.
  package var topDown: Bool
  /// MSFF: 4 − s bottlenecks on top of pyramid level s.
  package var fusion: Bool
  /// The stride of stage 4 (1: the "last stride" trick).
  package var lastStride: Int
  /// Training identities: the classifier's outputs.
  package var identities: Int

  package init(
    head: Head = .msfl, width: Double = 1, embedding: Int = 512, sharedPyramid: Bool = true,
    stages: [Int] = [1, 2, 3, 4],
    lateral: Bool = true, topDown: Bool = true, fusion: Bool = true, lastStride: Int = 2, identities: Int
  ) {
    self.head = head
    self.width = width
    self.embedding = embedding
    self.sharedPyramid = sharedPyramid
    self.stages = stages
    self.lateral = lateral
    self.topDown = topDown
    self.fusion = fusion
    self.lastStride = lastStride
    self.identities = identities
  }

  /// A channel count of the full network at this width.
  package func channels(_ full: Int) -> Int { max(1, Int((Double(full) * width).rounded())) }

  /// Channels of a stage's output (1…4): 256, 512, 1024, 2048 at full width.
  package func stageChannels(_ stage: Int) -> Int { 4 * channels(64 << (stage - 1)) }

  /// Channels of the pyramid: 512 at full width.
  package var pyramidChannels: Int { channels(512) }

  package var fusedStages: [Int] { head == .baseline ? [4] : stages }

  /// Whether stage outputs are averaged as they are, without a pyramid.
  package var isDirect: Bool { head == .baseline || !(lateral || topDown) }

  /// Length of the concatenated averages.
  package var featureChannels: Int {
    isDirect ? fusedStages.reduce(0) { $0 + stageChannels($1) } : fusedStages.count * pyramidChannels
  }
}
