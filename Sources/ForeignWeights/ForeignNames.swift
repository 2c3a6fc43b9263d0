import Network

/// What other tools call the tensors that Lineup has, and what they have that it has not.
///
/// The names of trunks are torchvision's (timm's ResNets and fast-reid's have them too), IBN-Net's and torchreid's, and
/// Lineup has them as they are. What stands before them, and the names of heads, differ.
enum ForeignNames {
  /// What checkpoints keep a network under, and what wraps it.
  private static let prefixes = ["state_dict.", "model_state_dict.", "params."] + PublishedTensors.wrappers

  /// Without what stands before it, and as Lineup has it: squeeze-and-excitation is timm's as well as fast-reid's.
  static func bare(_ name: String) -> String {
    PublishedTensors.bare(name, without: prefixes).replacing(".se.fc1.", with: ".se.fc.0.")
      .replacing(".se.fc2.", with: ".se.fc.2.")
  }

  /// The same of what stands below `place`; nil of what does not.
  static func bare(_ name: String, under place: String) -> String? {
    name.hasPrefix("\(place).") ? bare(String(name.dropFirst(place.count + 1))) : nil
  }

  /// What stands before the tensors of each trunk in a file: of `ema.conv1.weight` and its like, `ema`.
  static func places(_ tensors: [ForeignTensor]) -> [String] {
    tensors.compactMap { tensor in
      guard tensor.shape.count == 4, tensor.shape[1] == 3 else { return nil }
      return stems.lazy.compactMap { stem in
        tensor.name.hasSuffix(".\(stem)") ? String(tensor.name.dropLast(stem.count + 1)) : nil
      }.first
    }
  }

  /// The first convolution of a ResNet, and of OSNet.
  static let stems = ["conv1.weight", "conv1.conv.weight"]

  /// The tensor of a head that a bare name means, below what the head is called: the batch norm of BNNeck, and the
  /// exponent of generalized mean pooling; fast-reid's names, those of its first version, and AGW's and the strong
  /// baseline's.
  static func head(_ bare: String) -> String? {
    for norm in ["heads.bottleneck.0.", "heads.bnneck.", "bottleneck."] where bare.hasPrefix(norm) {
      let part = bare.dropFirst(norm.count)
      return ["weight", "bias", "running_mean", "running_var"].contains(part) ? "neck.bn.\(part)" : nil
    }
    return ["heads.pool_layer.p", "global_pool.p"].contains(bare) ? "pool.stage4.p" : nil
  }

  /// Of the bias of a convolution in front of a batch norm, the running mean that it shifts: AGW's and fast-reid's non-local blocks
  /// have one, which the norm takes away again.
  static func mean(shiftedBy bare: String) -> String? {
    bare.hasPrefix("NL_") && bare.hasSuffix(bias) ? String(bare.dropLast(bias.count)) + mean : nil
  }

  /// The other way round.
  static func bias(shifting bare: String) -> String? {
    bare.hasPrefix("NL_") && bare.hasSuffix(mean) ? String(bare.dropLast(mean.count)) + bias : nil
  }

  private static let bias = ".W.0.bias", mean = ".W.1.running_mean"

  /// Why a tensor that no trunk has is left; nil where nothing is known of it.
  static func reason(_ name: String, _ bare: String) -> String? {
    if bare.hasSuffix("num_batches_tracked") { return "a count of batches, which Lineup does not keep" }
    if ["optimizer", "optim", "scheduler"].contains(where: { name.hasPrefix($0) }) { return "state of the optimizer" }
    let classifiers = ["classifier.", "fc.weight", "fc.bias", "heads.weight", "heads.classifier.", "heads.cls_layer."]
    if classifiers.contains(where: { bare.hasPrefix($0) }) { return "the classifier of other classes" }
    if bare.hasPrefix("fc.") { return "an embedding that a head of Lineup takes the place of" }
    if ["pixel_mean", "pixel_std"].contains(bare) { return "what pixels are normalized by, which is fixed here" }
    if bare.hasPrefix("heads.") { return "of a head of another form" }
    return nil
  }
}
