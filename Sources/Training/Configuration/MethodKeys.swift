import Dataset
import Evaluation
import Kernels
import Layers
import Network
import Tensors

/// The table of all keys. Upper bounds are far beyond any use; they keep products within an `Int` and memory within what a
/// machine could have, so that a slip of the finger is a line and not a crash.
extension ConfigurationSection {
  package static var all: [ConfigurationSection] {
    [
      model, input, precision, losses, msgr, adaptiveL2, normLoss, sampling, optimizer, schedule, average, lossScale,
      evaluation, checkpoint, communication, data, log, watchdog, divergence, run,
    ]
  }

  /// Epochs of a run, and all that is counted in them.
  package static var mostEpochs: Int { 1_000_000 }
  /// Steps of a run, and all that is counted in them.
  package static var mostSteps: Int { 1_000_000_000_000 }
  /// Of numbers that only scale something, float32's exponents left over.
  private static var largest: Double { 1e6 }

  private static var model: Self {
    Self(
      "model",
      "A trunk with the multi-scale head of the paper (MSFL) or without, the paper's ablations, and heads of other kinds.",
      [
        .choice(
          "model.trunk", TrunkKind.self,
          "What turns images into maps of four stages: " + meanings(TrunkKind.self, \.meaning)
            + ". `model.width` 0.25, 0.5, 0.75 and 1 are OSNet's published sizes."),
        .choice(
          "model.norm", TrunkNorm.self, "What normalizes in the trunk: " + meanings(TrunkNorm.self, \.meaning) + "."),
        .choice(
          "model.filters", TrunkFilters.self,
          "What the filters of the trunk's convolutions go through before they are used: "
            + meanings(TrunkFilters.self, \.meaning) + "."),
        .part(
          "model.attention", TrunkAttention.self,
          "What gates features within the trunk: " + meanings(TrunkAttention.Kind.self, \.meaning) + "."),
        .part(
          "model.branch", BranchChoice.self,
          "What stands beside the body for heads to read as `branch`: " + meanings(BranchChoice.Kind.self, \.meaning)
            + "."),
        .part(
          "model.pyramid", PyramidChoice.self,
          "What gates what in the pyramid: " + meanings(PyramidChoice.Kind.self, \.meaning) + "."),
        .choice(
          "model.head", PaperHead.self,
          "`msfl` fuses the stages by a feature pyramid; `baseline` takes stage 4 alone, through the same neck."),
        ConfigurationKey(
          path: "model.heads", type: "list of heads", range: "at most 16 heads, each with a name of its own",
          meaning: "Heads in place of the paper's, each with the options below; an empty list is the paper's head.",
          words: [],
          outOfRange: notHeads),
        .checked(
          "model.width", \.model.width, type: "number",
          "positive and leave at least 1 of 64 channels (1/128 or more), at most 4",
          "Factor on every channel count of backbone and pyramid.", allows: isWidth),
        .integer(
          "model.embedding", \.model.embedding, 1...16384, "Length of the embedding; not scaled by `model.width`."),
        .flag(
          "model.sharedPyramid",
          "Whether all uses of the fusion convolutions share one set of weights, and those of the smoothing convolutions another "
            + "(27.08 M parameters), or each has its own (29.0 M)."),
        .checked(
          "model.stages", \.model.stages, type: "list of integers",
          "an ascending list of stages 1 to 4 that ends with 4",
          "The stages of the backbone, 1 (stride 4) to 4 (stride 32), whose maps are pooled and concatenated. Head `msfl` only.",
          allows: areStages),
        .flag(
          "model.lateral", "Whether a 1×1 convolution brings each stage to the pyramid's channels. Head `msfl` only."),
        .flag("model.topDown", "Whether coarse maps are added to finer ones. Head `msfl` only."),
        .flag(
          "model.fusion",
          "Whether the maps pass the fusion bottlenecks, which takes `model.lateral` or `model.topDown`. Head `msfl` only."
        ),
        .checked(
          "model.lastStride", \.model.lastStride, type: "integer", "1 or 2",
          "Stride of a ResNet's last stage; 1 doubles its map's height and width.",
          allows: { value, _ in (1...2).contains(value) }),
        .choice(
          "model.maxPool", PoolBorder.self,
          "The border of the stem's 3×3 max pooling: " + meanings(PoolBorder.self, \.meaning) + "."),
        .choice(
          "model.initialization", WeightInitialization.self,
          "The first weights of convolutions and linear layers, where `model.weights` gives none: "
            + meanings(WeightInitialization.self, \.meaning) + "."),
        ConfigurationKey(
          path: "model.weights", type: "text or null", range: "the path of a safetensors file, or null",
          meaning:
            "A safetensors file to start from, with torchvision's names, or torchreid's for OSNet (`lineup import` makes one of "
            + "files of PyTorch and ONNX); null initializes at random.",
          words: [],
          outOfRange: notAPath),
        .checked(
          "model.allowMissing", \.model.allowMissing, type: "list of texts",
          "a list of at most 64 names of tensors, or of parts of names between dots, such as se or layer4.2",
          "Tensors of the trunk that `model.weights` need not have; any other that is missing, or of another shape, ends the run.",
          allows: { names, _ in
            names.count <= 64 && names.allSatisfy { !$0.isEmpty && $0.utf8.count <= 256 }
          }),
      ])
  }

  /// Every word of a choice with what it means.
  static func meanings<Word: CaseIterable & RawRepresentable>(_: Word.Type, _ meaning: (Word) -> String)
    -> String where Word.RawValue == String
  {
    Word.allCases.map { "`\($0.rawValue)`: \(meaning($0))" }.joined(separator: "; ")
  }

  // Functions, because the compiler is slow at closures within a long list.
  @Sendable private static func isWidth(_ width: Double, _: Configuration) -> Bool {
    // 64 channels, those of the first convolution, are the fewest that `width` scales.
    width <= 4 && (64 * width).rounded() >= 1
  }

  @Sendable private static func areStages(_ stages: [Int], _ configuration: Configuration) -> Bool {
    configuration.model.head == .baseline
      || stages.last == 4 && stages.allSatisfy((1...4).contains) && isAscending(stages)
  }

  @Sendable private static func notHeads(_ configuration: Configuration) -> String? {
    let names = configuration.model.heads.map(\.name)
    return names.count <= 16 && Set(names).count == names.count ? nil : names.joined(separator: ", ")
  }

  @Sendable private static func notAPath(_ configuration: Configuration) -> String? {
    guard let path = configuration.model.weights else { return nil }
    if path.isEmpty { return "empty" }
    return path.utf8.count <= 4096 && !path.utf8.contains(0) ? nil : path
  }

  private static var input: Self {
    Self(
      "input", "The images that enter the network; any other size is resized to it.",
      [
        .checked(
          "input.height", \.input.height, type: "integer", "a positive multiple of 32, at most 2048", "Pixels.",
          allows: isSide),
        .checked(
          "input.width", \.input.width, type: "integer", "a positive multiple of 32, at most 2048", "Pixels.",
          allows: isSide),
      ])
  }

  @Sendable private static func isSide(_ pixels: Int, _: Configuration) -> Bool {
    (1...2048).contains(pixels) && pixels % 32 == 0
  }

  private static var precision: Self {
    Self(
      "precision", "What numbers are stored as and multiplied in.",
      [
        .choice(
          "precision.storage", Tensors.Precision.self,
          "The element of activations and working weights: `float16` to train, the others as references."),
        .choice(
          "precision.multiply", Multiplication.self,
          "What products of float16 operands are computed in: `exact` loses nothing (on AMX, keeps 16 bits), `bfloat16` keeps 8 "
            + "bits of operands and is faster. `exact` where `precision.storage` is not float16."),
        .choice(
          "precision.convolution", ConvolutionAlgorithm.self,
          "How convolutions of 3×3 taps and stride 1 are computed: `direct`, or by Winograd's minimal filtering in float32, "
            + "with a quarter of the multiply-adds and four times the memory for the working weights of a layer. `auto`: `winograd` "
            + "where `precision.storage` is float16 and the CPU has AVX2 and no AMX tiles; a job says what it came to."
        ),
      ])
  }

  private static var losses: Self {
    Self(
      "losses",
      "What is minimized by the paper's head: the cross-entropy of identities, with a triplet loss beside it. Heads of "
        + "`model.heads` have losses of their own.",
      [
        .number(
          "losses.crossEntropy.weight", \.losses.crossEntropy.weight, 0...largest, "Factor of the cross-entropy."),
        .number(
          "losses.crossEntropy.smoothing", \.losses.crossEntropy.smoothing, 0...1,
          "The share of every label that goes to all classes alike (label smoothing)."),
        .number(
          "losses.triplet.weight", \.losses.triplet.weight, 0...largest,
          "Factor of the batch-hard triplet loss beside the cross-entropy; 0 leaves it out."),
        .number(
          "losses.triplet.margin", \.losses.triplet.margin, 0...largest,
          "Margin of the triplet loss, in units of the Euclidean distance of embeddings."),
        .flag("losses.triplet.soft", "softplus in place of the hinge, and no margin."),
      ])
  }

  private static var msgr: Self {
    Self(
      "msgr", "The multi-scale gradient regularizer (Eq. 7 of the MSFL paper): λ Σ_i Σ_s ‖∂L/∂f_{s,i}‖_q.",
      [
        .number("msgr.lambda", \.msgr.lambda, 0...largest, "λ; 0 turns the regularizer off."),
        .choice("msgr.norm", Configuration.MSGR.Norm.self, "q, the norm."),
        .choices("msgr.at", \.msgr.at, "s: the input and the stages whose gradients are penalized."),
      ])
  }

  private static var adaptiveL2: Self {
    Self(
      "adaptiveL2",
      "AdaptiveReID: a trained strength λ_i = amplitude · hardSigmoid(r_i) of the L2 penalty λ_i ‖w_i‖² for each tensor, in "
        + "place of `optimizer.weightDecay`.",
      [
        .flag("adaptiveL2.enabled", "Whether it takes the place of `optimizer.weightDecay`."),
        .number("adaptiveL2.amplitude", \.adaptiveL2.amplitude, above: 0, atMost: largest, "The largest strength."),
        .number(
          "adaptiveL2.initial", \.adaptiveL2.initial, -largest...largest,
          "r_i at the start; 0 is half the amplitude, −2.5 and below none, 2.5 and above all of it."),
        .flag("adaptiveL2.trained", "Whether r_i is trained; false keeps the constant penalty."),
        .choices(
          "adaptiveL2.tensors", \.adaptiveL2.tensors,
          "The kinds of tensors that are regularized, each tensor with a strength of its own."),
      ])
  }

  private static var normLoss: Self {
    Self(
      "normLoss",
      "Norm loss: λ Σ_o (1 − ‖w_o‖)² over the output filters of all convolutions and linear layers, beside or in place of "
        + "`optimizer.weightDecay`.",
      [.number("normLoss.lambda", \.normLoss.lambda, 0...largest, "λ; 0 turns it off.")])
  }

  private static var sampling: Self {
    Self(
      "sampling", "The global batch of a step, over all ranks: P identities with K images each.",
      [
        .integer(
          "sampling.identities", \.sampling.identities, 1...Configuration.mostImages,
          "P, identities of the global batch; 2 or more with the triplet loss. P·K is at most \(Configuration.mostImages). (The "
            + "paper's numbers are lost in its text; 8 and 4 are the field's habit.)"),
        .integer(
          "sampling.images", \.sampling.images, 1...Configuration.mostImages,
          "K, images of each identity; 2 or more with the triplet loss. An identity that has fewer gives some twice."),
        .integer(
          "sampling.minimumImages", \.sampling.minimumImages, 1...Configuration.mostImages,
          "Identities with fewer training images are left out."),
        .choice(
          "sampling.scheme", IdentitySampler.Scheme.self,
          "Which identities come together. " + meanings(IdentitySampler.Scheme.self, \.meaning) + "."),
        .choice(
          "sampling.sets", SetSampler.Share.self,
          "What several data sets (--data A --data B) give to a batch. " + meanings(SetSampler.Share.self, \.meaning)
            + "."),
      ])
  }

  private static var optimizer: Self {
    Self(
      "optimizer", "How parameters follow from gradients.",
      [
        .part("optimizer.kind", OptimizerKind.self, meanings(OptimizerKind.Kind.self, \.meaning) + "."),
        .number(
          "optimizer.learningRate", \.optimizer.learningRate, above: 0, atMost: 1e30,
          "The learning rate before warm-up and falls (section `schedule`)."),
        .number("optimizer.weightDecay", \.optimizer.weightDecay, 0...largest, "Strength of the decay; 0 for none."),
        .choice(
          "optimizer.decay", Configuration.Optimization.Decay.self,
          "`l2` adds weightDecay·w to the gradient (Adam); `decoupled` shrinks w by learningRate·weightDecay (AdamW)."),
        .checked(
          "optimizer.beta1", \.optimizer.beta1, type: "number", "at least 0 and below 1",
          "Adam's decay of the mean of gradients, a step.", allows: { value, _ in (0..<1).contains(value) }),
        .checked(
          "optimizer.beta2", \.optimizer.beta2, type: "number", "at least 0 and below 1",
          "Adam's decay of the mean of squared gradients, a step.", allows: { value, _ in (0..<1).contains(value) }),
        .number(
          "optimizer.epsilon", \.optimizer.epsilon, above: 0, atMost: 1e30,
          "Added to the root of the mean of squared gradients."),
        .number(
          "optimizer.clipNorm", \.optimizer.clipNorm, 0...largest,
          "The largest Euclidean norm of the gradients of all parameters together, to which longer ones are shortened; 0 for "
            + "no such limit."),
        .flag(
          "optimizer.sharded",
          "Whether each rank moves a part of the parameters and keeps the moments of that part alone; what others moved comes while the "
            + "next step begins (ZeRO, stage 1). The same bits. Not with `optimizer.clipNorm`, `model.filters` or cosine classifiers, "
            + "which ask for whole gradients."),
      ] + factors)
  }

  private static var factors: [ConfigurationKey] {
    typealias Place = ConfigurationKey.Place<Double>
    let groups: [(String, Place, Place, String)] = [
      (
        "trunk", \.optimizer.factors.trunk.learningRate, \.optimizer.factors.trunk.weightDecay, "the trunk's tensors"
      ),
      (
        "heads", \.optimizer.factors.heads.learningRate, \.optimizer.factors.heads.weightDecay,
        "all other tensors: the pyramid's, necks', classifiers'"
      ),
      (
        "norms", \.optimizer.factors.norms.learningRate, \.optimizer.factors.norms.weightDecay,
        "scales and shifts of normalizations, beside the factor of where they stand"
      ),
      (
        "biases", \.optimizer.factors.biases.learningRate, \.optimizer.factors.biases.weightDecay,
        "biases of layers, beside the factor of where they stand"
      ),
    ]
    return groups.flatMap { name, rate, decay, tensors in
      [
        .number(
          "optimizer.factors.\(name).learningRate", rate, 0...1000, "Factor on the learning rate of \(tensors)."),
        .number("optimizer.factors.\(name).weightDecay", decay, 0...1000, "Factor on their weight decay."),
      ]
    }
  }
}

/// Strictly, so that nothing occurs twice.
func isAscending(_ list: [Int]) -> Bool { zip(list, list.dropFirst()).allSatisfy { $0 < $1 } }
