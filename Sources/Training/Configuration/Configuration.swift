import Dataset
import Evaluation
import Kernels
import Network
import Tensors

/// Everything a run can be told, with every default: one nested struct a section of the YAML file.
///
/// A key `model.width` is the property `model.width`; there is no second list of names or defaults.
/// `ConfigurationFile.swift` reads and writes it; `validate()` below says what is allowed.
package struct Configuration: Codable, Sendable, Equatable {
  package var model = Model()
  package var input = Input()
  package var precision = Precision()
  package var losses = Losses()
  package var msgr = MSGR()
  package var adaptiveL2 = AdaptiveL2()
  package var sampling = Sampling()
  package var optimizer = Optimizer()
  package var schedule = Scheduling()
  package var lossScale = LossScaling()
  package var evaluation = Evaluation()
  package var checkpoint = Checkpointing()
  package var communication = Communication()
  package var data = Data()
  package var log = Log()
  package var watchdog = Watchdog()
  package var divergence = Divergence()
  /// Seeds initialization, sampling and augmentation.
  package var seed: UInt64 = 1
  /// Threads of one rank; 0 takes as many as the affinity mask of the process allows.
  package var threads = 0

  package init() {}

  package struct Model: Codable, Sendable, Equatable {
    package var head = Architecture.Head.msfl
    /// Factor on every channel count of backbone and pyramid.
    package var width = 1.0
    /// Length of the embedding; not scaled by `width`.
    package var embedding = 512
    /// One set of fusion and smoothing convolutions for all their uses (27.08 M parameters), or one each.
    package var sharedPyramid = true
    /// The stages of the backbone, 1 (stride 4) to 4 (stride 32), whose maps are pooled and concatenated.
    package var stages = [1, 2, 3, 4]
    /// Whether a 1×1 convolution brings each stage to the pyramid's channels.
    package var lateral = true
    /// Whether coarse maps are added to finer ones.
    package var topDown = true
    /// Whether the maps pass the fusion bottlenecks.
    package var fusion = true
    /// Stride of the last stage, 1 or 2.
    package var lastStride = 2
    /// A safetensors file with torchvision's names to start from; null initializes at random.
    @Nullable package var weights: String?
    package init() {}
  }

  package struct Input: Codable, Sendable, Equatable {
    /// Pixels; a multiple of 32.
    package var height = 256
    /// Pixels; a multiple of 32.
    package var width = 128
    package init() {}
  }

  package struct Precision: Codable, Sendable, Equatable {
    /// The element of activations and working weights.
    package var storage = Tensors.Precision.float16
    /// What products of float16 operands are computed in.
    package var multiply = Multiplication.exact
    package init() {}
  }

  package struct Losses: Codable, Sendable, Equatable {
    package struct Triplet: Codable, Sendable, Equatable {
      /// Factor of the batch-hard triplet loss beside the cross-entropy; 0 leaves it out.
      package var weight = 1.0
      /// In units of the Euclidean distance of embeddings.
      package var margin = 0.3
      package init() {}
    }
    package var triplet = Triplet()
    package init() {}
  }

  /// The multi-scale gradient regularizer (Eq. 7 of the MSFL paper): λ Σ_i Σ_s ‖∂L/∂f_{s,i}‖_q.
  package struct MSGR: Codable, Sendable, Equatable {
    package enum Norm: String, Choice { case one = "1", two = "2", infinity = "inf" }
    package enum Place: String, Choice { case input, stage1 = "1", stage2 = "2", stage3 = "3", stage4 = "4" }
    /// λ; 0 turns it off.
    package var lambda = 0.0
    /// q.
    package var norm = Norm.two
    /// s: the input and the stages whose gradients are penalized.
    package var at = [Place.stage1, .stage2]
    package init() {}
  }

  /// AdaptiveReID: a trained strength λ_i = amplitude · hardSigmoid(r_i) of the L2 penalty λ_i ‖w_i‖² for each tensor, in
  /// place of `optimizer.weightDecay`.
  package struct AdaptiveL2: Codable, Sendable, Equatable {
    package enum Kind: String, Choice { case convolution, linear, bias, normScale, normShift }
    package var enabled = false
    /// The largest strength.
    package var amplitude = 0.005
    /// r_i at the start; 0 is half the amplitude, −2.5 and below none, 2.5 and above all of it.
    package var initial = 0.0
    /// Whether r_i is trained; false keeps the constant penalty.
    package var trained = true
    /// The kinds of tensors that are regularized, each tensor with a strength of its own.
    package var tensors = Kind.allCases
    package init() {}
  }

  package struct Sampling: Codable, Sendable, Equatable {
    /// P, identities of the global batch. (The paper's numbers are lost in its text; 8×4 is the field's habit.)
    package var identities = 8
    /// K, images of each identity.
    package var images = 4
    package var scheme = IdentitySampler.Scheme.paper
    package init() {}
  }

  package struct Optimizer: Codable, Sendable, Equatable {
    /// `l2` adds weightDecay·w to the gradient (Adam); `decoupled` shrinks w by learningRate·weightDecay (AdamW).
    package enum Decay: String, Choice { case l2, decoupled }
    package var learningRate = 3.5e-4
    package var weightDecay = 5e-4
    package var decay = Decay.l2
    package var beta1 = 0.9
    package var beta2 = 0.999
    package var epsilon = 1e-8
    package init() {}
  }

  package struct Scheduling: Codable, Sendable, Equatable {
    package var epochs = 120
    /// Ends the run after this many steps, within an epoch if need be; 0 for no such limit.
    package var maxSteps = 0
    /// Epochs, counted from 0, that begin with the learning rate multiplied by `factor`.
    package var steps = [40, 70]
    package var factor = 0.1
    /// Epochs over which the rate rises linearly from `warmupFactor` of itself.
    package var warmupEpochs = 0
    package var warmupFactor = 0.01
    package init() {}
  }

  package struct LossScaling: Codable, Sendable, Equatable {
    /// A power of two.
    package var initial = 32768.0
    /// Clean steps before the scale doubles.
    package var growthInterval = 1000
    package init() {}
  }

  package struct Evaluation: Codable, Sendable, Equatable {
    /// 0 evaluates after the last epoch only.
    package var everyEpochs = 10
    /// Whether the network is also evaluated before its first step.
    package var beforeTraining = false
    /// Whether the embedding is the mean of an image's and its mirror image's.
    package var flip = false
    package var metric = DistanceMetric.euclidean
    /// Images of one rank that pass the network at once.
    package var batch = 64
    /// Whether k-reciprocal re-ranking is reported too.
    package var rerank = false
    package init() {}
  }

  package struct Checkpointing: Codable, Sendable, Equatable {
    /// 0 writes one after the last epoch only.
    package var everyEpochs = 10
    /// 0 turns it off.
    package var everySteps = 0
    /// How many of the latest checkpoints stay.
    package var keep = 3
    package init() {}
  }

  package struct Communication: Codable, Sendable, Equatable {
    /// What gradients cross ranks as; all but `float64` round, and N ranks then no longer follow one bit for bit.
    package var wire = Wire.float64
    /// Gradients that are summed at once, in 10⁶ bytes on the wire.
    package var bucketMegabytes = 25
    package init() {}
  }

  package struct Data: Codable, Sendable, Equatable {
    package enum Damaged: String, Choice { case skip, fail }
    /// Random crop and mirroring of training images.
    package var augmentation = true
    /// Probability of random erasing.
    package var erasing = 0.0
    /// What a training image that cannot be decoded leads to.
    package var damaged = Damaged.skip
    /// Whether MSMT17's validation images are trained on.
    package var includeValidation = false
    /// Threads of one rank that decode images.
    package var loaderThreads = 1
    package init() {}
  }

  package struct Watchdog: Codable, Sendable, Equatable {
    /// A rank that is missing for so long ends the job; 0 waits for ever.
    package var seconds = 300.0
    package init() {}
  }

  package struct Divergence: Codable, Sendable, Equatable {
    /// Steps skipped in a row, for gradients or a loss that are not finite, after which the run stops.
    package var skippedSteps = 30
    package init() {}
  }

  package struct Log: Codable, Sendable, Equatable {
    /// Named after swift-log's levels.
    package enum Level: String, Choice {
      case trace, debug, info, notice, warning, error, critical
      package var includesDebug: Bool { self == .trace || self == .debug }
    }
    /// Steps between two log lines.
    package var everySteps = 1
    /// Whether the sample list of every step is logged.
    package var samples = false
    package var level = Level.info
    package init() {}
  }
}

extension Architecture.Head: Choice {}
extension Tensors.Precision: Choice {}
extension Multiplication: Choice {}
extension IdentitySampler.Scheme: Choice {}
extension DistanceMetric: Choice {}

// MARK: - How values are spelled

/// One of a few words; anything else is refused with the list of them.
package protocol Choice: CaseIterable, RawRepresentable, Codable, Sendable where RawValue == String {}

extension Choice {
  package init(from decoder: any Decoder) throws {
    guard let word = try? decoder.singleValueContainer().decode(String.self), let value = Self(rawValue: word) else {
      let words = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "one of \(words)"))
    }
    self = value
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rawValue)
  }
}

/// An optional that is written as `null` instead of left out, so that its key is known like every other.
@propertyWrapper
package struct Nullable<Value: Codable & Sendable & Equatable>: Codable, Sendable, Equatable {
  package var wrappedValue: Value?

  package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
  }
}
