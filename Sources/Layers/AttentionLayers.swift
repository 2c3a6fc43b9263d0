import Tensors

/// Attention over matrices of an image, by the names of its tensors.
extension MatrixAttention {
  /// `PixelAttention`. Numbers `<name>.gamma`, 0 at first, `<name>.angle`, `<name>.norm`.
  package convenience init(
    query: any LinearMap<E>, key: any LinearMap<E>, value: any LinearMap<E>, _ layout: inout ParameterLayout,
    _ name: String, _ likeness: PixelLikeness
  ) {
    func scalar(_ part: String, _ start: Double) -> ParameterLayout.Slot {
      layout.add("\(name).\(part)", .normScale, shape: [1], start: .constant(start))
    }
    var scalars = [scalar("gamma", 0)]
    if case .decoupled(let norms) = likeness {
      scalars.append(scalar("angle", 10))
      if norms { scalars.append(scalar("norm", 1)) }
    }
    self.init(
      [query, key, value], outputs: value.geometry.outputs, scalars: scalars, PixelAttention(likeness: likeness))
  }

  /// `ChannelAttention` of a map of `channels`. Number `<name>.beta`, 0 at first.
  package convenience init(channels: Int, _ layout: inout ParameterLayout, _ name: String) {
    let beta = layout.add(name + ".beta", .normScale, shape: [1], start: .constant(0))
    self.init([], outputs: channels, scalars: [beta], ChannelAttention())
  }
}
