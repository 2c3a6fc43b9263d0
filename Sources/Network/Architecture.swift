import Layers
import Losses
import Tensors

/// Which network: a trunk, with the pyramid of the paper (MSFL) or without, the paper's ablations, and heads.
package struct Architecture: Sendable, Equatable {
  package var head: PaperHead
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
  package var trunk = TrunkKind.resnet50
  package var norm = TrunkNorm.batch
  /// At the border of the stem's max pooling.
  package var maxPool = PoolBorder.padded
  package var filters = TrunkFilters.plain
  package var attention = TrunkAttention(.none)
  package var branch = BranchChoice(.none)
  package var pyramid = PyramidChoice(.plain)
  /// The heads; none: the paper's.
  package var heads: [HeadOptions] = []
  /// Training identities, cameras and parts of a person: what classifiers tell apart.
  package var identities: Int, cameras = 1, parts = 1

  package init(
    head: PaperHead = .msfl, width: Double = 1, embedding: Int = 512, sharedPyramid: Bool = true,
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

  /// Channels of the pyramid: 512 at full width.
  package var pyramidChannels: Int { channels(512) }

  package var fusedStages: [Int] { head == .baseline ? [4] : stages }

  /// Whether stage outputs are averaged as they are, without a pyramid.
  package var isDirect: Bool { head == .baseline || !(lateral || topDown) }

  /// What the paper's head reads.
  package var usualSources: [MapSource] { fusedStages.map { isDirect ? .stage($0) : .level($0) } }

  /// The heads, the paper's where none are given.
  package var headOptions: [HeadOptions] { heads.isEmpty ? [HeadOptions()] : heads }

  package func classes(_ label: RowLabels.Column) -> Int {
    switch label {
    case .identity: identities
    case .camera: cameras
    case .part: parts
    }
  }
}

/// `model.head`: what the paper's own head reads.
package enum PaperHead: String, Sendable, CaseIterable {
  /// Stages fused by a feature pyramid (MSFL, section III-A of the paper).
  case msfl
  /// Stage 4 alone, through the same neck.
  case baseline
}
