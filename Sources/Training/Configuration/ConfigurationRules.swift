import Kernels
import Losses
import Network
import Tensors

extension Configuration {
  /// The images of a global batch, at most.
  package static var mostImages: Int { 16384 }
  /// The pixels of a map whose every two are compared, at most.
  private static var mostComparedPixels: Int { 1024 }
  /// The pixels of a batch, at most.
  private static var mostPixels: Int { 1 << 33 }

  /// Checks ranges and combinations; `Failure.usage` names the dotted key, its value and what is allowed.
  package func validate() throws {
    for key in ConfigurationKey.all {
      if let value = key.outOfRange(self) { try require(false, key.path, value, key.range ?? key.type) }
    }
    try validateNetwork()
    try validateHeads()
    try validateShards()
    try validateBatches()
  }

  private func validateNetwork() throws {
    try require(
      model.head == .baseline || model.lateral || model.topDown || !model.fusion, "model.fusion", model.fusion,
      "false without model.lateral and model.topDown: there is no pyramid to put bottlenecks on")
    if case .sgd(let descent) = optimizer.kind {
      try require(
        descent.momentum > 0 || !descent.nesterov, "optimizer.kind.sgd.nesterov", true, "false without momentum")
    }
    let isDirect = Architecture(model, identities: 1).isDirect, gates = model.pyramid.kind
    try require(
      gates == .plain || !isDirect && model.lateral && (gates == .pam || model.topDown), "model.pyramid",
      gates.rawValue,
      "plain without \(isDirect ? "a pyramid (model.head, model.lateral)" : model.lateral ? "model.topDown" : "model.lateral")"
    )
    try require(
      model.branch.kind != .groie || !isDirect, "model.branch", model.branch.kind.rawValue,
      "another without a pyramid (model.head, model.lateral)")
    try require(
      model.norm == .batch || model.trunk.isResNet, "model.norm", model.norm.rawValue,
      "batch where model.trunk is \(model.trunk.rawValue): it has norms of its own")
    try require(
      model.attention.kind != .nonLocal || model.trunk.isResNet, "model.attention", model.attention.kind.rawValue,
      "another where model.trunk is \(model.trunk.rawValue): non-local blocks stand in a ResNet")
    try require(
      model.attention.kind != .atac || model.trunk.isResNet, "model.attention", model.attention.kind.rawValue,
      "another where model.trunk is \(model.trunk.rawValue): its activations stand in the blocks of a ResNet")
    // Stages 3 have a sixteenth of the height and of the width.
    let pixels = input.height / 16 * (input.width / 16)
    try require(
      ![.scan, .decoupled].contains(model.attention.kind) || pixels <= Self.mostComparedPixels, "model.attention",
      model.attention.kind.rawValue,
      "another where images are \(input.height)×\(input.width): it compares every two of \(pixels) pixels of stage 3, of which there may be \(Self.mostComparedPixels)"
    )
    try require(
      model.lastStride == 2 || model.trunk.isResNet, "model.lastStride", model.lastStride,
      "2 where model.trunk is \(model.trunk.rawValue): its stages 3 and 4 have one size as it is")
    try require(
      communication.wire != .int32 || precision.storage != .float64, "communication.wire", communication.wire.rawValue,
      "another where precision.storage is float64, whose gradients are not rounded")
    try require(
      precision.multiply == .exact || precision.storage == .float16, "precision.multiply", precision.multiply.rawValue,
      "exact where precision.storage is \(precision.storage.rawValue)")
    try require(
      precision.convolution != .winograd || precision.storage == .float16, "precision.convolution",
      precision.convolution.rawValue, "direct where precision.storage is \(precision.storage.rawValue)")
  }

  /// A rank with a part of the gradients has not what these ask for.
  private func validateShards() throws {
    guard optimizer.sharded else { return }
    try require(optimizer.clipNorm == 0, "optimizer.clipNorm", optimizer.clipNorm, "0 with optimizer.sharded")
    try require(
      model.filters == .plain, "model.filters", model.filters.rawValue, "plain with optimizer.sharded")
    for (index, head) in model.heads.enumerated() {
      try require(
        head.classifier.kind != .cosine, "model.heads[\(index)].classifier", head.classifier.kind.rawValue,
        "linear with optimizer.sharded")
    }
  }

  private func validateHeads() throws {
    try require(
      !evaluation.parts || partHead != nil, "evaluation.parts", evaluation.parts,
      "false without a head of label part, without groups, that tells what a query shows")
    let architecture = Architecture(model, identities: 1)
    for (index, head) in model.heads.enumerated() {
      let path = "model.heads[\(index)]", terms = head.losses.map(\.term)
      let names = terms.map(\.name)
      try require(
        head.label != .part || data.parts > 0 && data.augmentation, "\(path).label", head.label.rawValue,
        "another without data.parts and data.augmentation, with which every image is whole")
      try require(head.band <= head.bands, "\(path).band", head.band, "\(head.bands) or less (bands)")
      try require(Set(names).count == names.count, "\(path).losses", names.joined(separator: ", "), "each term once")
      if head.sources.contains(.branch) {
        try require(
          model.branch.kind != .none, "\(path).sources", MapSource.branch.rawValue, "another without model.branch")
      }
      for source in head.sources where source.isLevel {
        try require(
          !architecture.isDirect && architecture.fusedStages.contains(source.number), "\(path).sources",
          source.rawValue,
          "a level of a pyramid that there is (model.head, model.stages)")
      }
      for term in terms where term.readsCosines != (head.classifier.kind == .cosine) && term.readsLogits {
        try require(
          false, "\(path).classifier", head.classifier.kind.rawValue,
          term.readsCosines ? "cosine for \(term.name)" : "linear for \(term.name)")
      }
    }
    guard !model.heads.isEmpty else {
      return try require(
        model.branch.kind == .none, "model.branch", model.branch.kind.rawValue, "none without model.heads to read it")
    }
    try require(
      model.heads.contains(where: \.retrieve), "model.heads", "without retrieve", "with one that is retrieved by")
    let read = Set(architecture.headOptions.flatMap { $0.sources.isEmpty ? architecture.usualSources : $0.sources })
    try require(
      model.branch.kind == .none || read.contains(.branch), "model.branch", model.branch.kind.rawValue,
      "none where no head reads it")
    let needed = architecture.isDirect ? [.stage(4)] : architecture.usualSources
    for source in needed where !model.branch.reads(source) {
      try require(read.contains(source), "model.heads", "without \(source.rawValue)", "such that a head reads it")
    }
  }

  /// Factors are in range, so that products do not overflow.
  private func validateBatches() throws {
    let identities = sampling.identities, images = sampling.images
    let terms = ReIDLoss(self).heads.flatMap(\.terms)
    if let term = terms.first(where: { $0.needsPairs && $0.weight > 0 }) {
      // A second image of the same identity, and a second identity.
      try require(identities >= 2, "sampling.identities", identities, "2 or more for the \(term.name) loss")
      try require(images >= 2, "sampling.images", images, "2 or more for the \(term.name) loss")
    }
    if data.mixUp.part.kind != .none, data.augmentation,
      let term = terms.first(where: { !$0.takesMixes && $0.weight > 0 })
    {
      try require(
        false, "data.mixUp", data.mixUp.part.kind.rawValue,
        "none with the \(term.name) loss, which takes an image for that of one identity")
    }
    try require(
      identities * images <= Self.mostImages, "sampling.images", images,
      "\(Self.mostImages / identities) or less with \(identities) identities: a batch has \(Self.mostImages) images at most"
    )
    if case .pad(let options) = data.crop {
      let most = min(input.height, input.width) - 1
      try require(
        options.pixels <= most, "data.crop.pad.pixels", options.pixels,
        "\(most) or less where images are \(input.height)×\(input.width): a crop has to see some of them")
    }
    if case .lines(let options) = data.grid {
      try require(
        options.least <= options.most, "data.grid.lines.least", options.least, "\(options.most) or less (most)")
    }
    if case .band(let options) = data.sectors {
      try require(
        options.least <= options.most, "data.sectors.band.least", options.least, "\(options.most) or less (most)")
    }
    let pixels = input.height * input.width
    try require(
      identities * images * pixels <= Self.mostPixels, "input.height", input.height,
      "smaller: \(identities * images) images a batch, \(input.height)×\(input.width), are more than 2³³ pixels")
    try require(
      evaluation.batch * pixels <= Self.mostPixels, "evaluation.batch", evaluation.batch,
      "\(Self.mostPixels / pixels) or less where images are \(input.height)×\(input.width)")
  }

  private func require(_ holds: Bool, _ key: String, _ value: some Any, _ allowed: String) throws {
    if !holds { throw Failure.usage("\(key) is \(Printable.line("\(value)", limit: 80)); it must be \(allowed)") }
  }
}
