import Dataset
import Evaluation
import Kernels
import Layers
import Network
import Tensors

/// Everything a run can be told, with every default: one nested struct a section of the YAML file.
///
/// A key `model.width` is the property `model.width`. What each key means and which values it takes stands in the table of
/// keys (`ConfigurationKey`, MethodKeys.swift and RunKeys.swift), which a test holds to have exactly these.
/// `ConfigurationFile.swift` reads and writes it.
package struct Configuration: Codable, Sendable, Equatable {
  package var model = Model()
  package var input = Input()
  package var precision = Precision()
  package var losses = Losses()
  package var msgr = MSGR()
  package var adaptiveL2 = AdaptiveL2()
  package var normLoss = NormLoss()
  package var sampling = Sampling()
  package var optimizer = Optimization()
  package var schedule = Scheduling()
  package var average = Average()
  package var lossScale = LossScaling()
  package var evaluation = Evaluation()
  package var checkpoint = Checkpointing()
  package var communication = Communication()
  package var data = Data()
  package var log = Log()
  package var watchdog = Watchdog()
  package var divergence = Divergence()
  package var seed: UInt64 = 1
  package var threads = 0

  package init() {}

  package struct Model: Codable, Sendable, Equatable {
    package var trunk = TrunkKind.resnet50
    package var norm = TrunkNorm.batch
    package var filters = TrunkFilters.plain
    package var attention = TrunkAttention(.none)
    package var branch = BranchChoice(.none)
    package var pyramid = PyramidChoice(.plain)
    package var head = PaperHead.msfl
    package var heads: [HeadOptions] = []
    package var width = 1.0
    package var embedding = 512
    package var sharedPyramid = true
    package var stages = [1, 2, 3, 4]
    package var lateral = true
    package var topDown = true
    package var fusion = true
    package var lastStride = 2
    package var maxPool = PoolBorder.padded
    package var initialization = WeightInitialization.he
    @Nullable package var weights: String?
    package var allowMissing: [String] = []
    package init() {}
  }

  package struct Input: Codable, Sendable, Equatable {
    package var height = 256
    package var width = 128
    package init() {}
  }

  package struct Precision: Codable, Sendable, Equatable {
    package var storage = Tensors.Precision.float16
    package var multiply = Multiplication.exact
    package var convolution = ConvolutionAlgorithm.auto
    package init() {}
  }

  package struct Losses: Codable, Sendable, Equatable {
    package struct Triplet: Codable, Sendable, Equatable {
      package var weight = 1.0
      package var margin = 0.3
      package var soft = false
      package init() {}
    }
    package struct CrossEntropy: Codable, Sendable, Equatable {
      package var weight = 1.0
      package var smoothing = 0.0
      package init() {}
    }
    package var crossEntropy = CrossEntropy()
    package var triplet = Triplet()
    package init() {}
  }

  /// The multi-scale gradient regularizer (Eq. 7 of the MSFL paper): λ Σ_i Σ_s ‖∂L/∂f_{s,i}‖_q.
  package struct MSGR: Codable, Sendable, Equatable {
    package enum Norm: String, Choice { case one = "1", two = "2", infinity = "inf" }
    package enum Place: String, Choice { case input, stage1 = "1", stage2 = "2", stage3 = "3", stage4 = "4" }
    package var lambda = 0.0
    package var norm = Norm.two
    package var at = [Place.stage1, .stage2]
    package init() {}
  }

  /// AdaptiveReID: a trained strength λ_i = amplitude · hardSigmoid(r_i) of the L2 penalty λ_i ‖w_i‖² for each tensor, in
  /// place of `optimizer.weightDecay`.
  package struct AdaptiveL2: Codable, Sendable, Equatable {
    package enum Kind: String, Choice { case convolution, linear, bias, normScale, normShift }
    package var enabled = false
    package var amplitude = 0.005
    package var initial = 0.0
    package var trained = true
    package var tensors = Kind.allCases
    package init() {}
  }

  /// λ Σ (1 − ‖w_o‖)² over the output filters of convolutions and linear layers.
  package struct NormLoss: Codable, Sendable, Equatable {
    package var lambda = 0.0
    package init() {}
  }

  package struct Sampling: Codable, Sendable, Equatable {
    package var identities = 8
    package var images = 4
    package var minimumImages = 1
    package var scheme = IdentitySampler.Scheme.paper
    package var sets = SetSampler.Share.bySize
    package init() {}
  }

  package struct Optimization: Codable, Sendable, Equatable {
    package enum Decay: String, Choice { case l2, decoupled }
    package struct Factors: Codable, Sendable, Equatable {
      package struct Pair: Codable, Sendable, Equatable {
        package var learningRate = 1.0
        package var weightDecay = 1.0
        package init() {}
      }
      package var trunk = Pair()
      package var heads = Pair()
      package var norms = Pair()
      package var biases = Pair()
      package init() {}
    }
    package var kind = OptimizerKind(.adam)
    package var learningRate = 3.5e-4
    package var weightDecay = 5e-4
    package var decay = Decay.l2
    package var beta1 = 0.9
    package var beta2 = 0.999
    package var epsilon = 1e-8
    package var clipNorm = 0.0
    package var sharded = false
    package var factors = Factors()
    package init() {}
  }

  package struct Scheduling: Codable, Sendable, Equatable {
    package var epochs = 120
    package var maxSteps = 0
    package var kind = ScheduleKind(.steps)
    package var steps = [40, 70]
    package var factor = 0.1
    package var warmupEpochs = 0
    package var warmupSteps = 0
    package var warmupFactor = 0.01
    package var frozenEpochs = 0
    package var frozenSteps = 0
    package init() {}
  }

  package struct Average: Codable, Sendable, Equatable {
    package var decay = 0.0
    package init() {}
  }

  package struct LossScaling: Codable, Sendable, Equatable {
    package var initial = 32768.0
    package var growthInterval = 1000
    package init() {}
  }

  package struct Evaluation: Codable, Sendable, Equatable {
    package var everyEpochs = 10
    package var beforeTraining = false
    package var flip = false
    package var metric = DistanceMetric.euclidean
    package var batch = 64
    package var rerank = false
    package var expansion = ExpansionChoice(.none)
    package var multiQuery = false
    package var parts = false
    package var singleShot = false
    package var verification = false
    package var cameraPairs = false
    package init() {}

    /// - Throws: never with the authors' constants of re-ranking.
    package func scoring() throws -> ScoringOptions {
      var options = ScoringOptions()
      options.metric = metric
      options.reRanking = rerank ? try .init() : nil
      options.expansion = expansion.expansion
      (options.multiQuery, options.singleShot) = (multiQuery, singleShot)
      (options.verification, options.cameraPairs) = (verification, cameraPairs)
      return options
    }
  }

  package struct Checkpointing: Codable, Sendable, Equatable {
    package var everyEpochs = 10
    package var everySteps = 0
    package var keep = 3
    package init() {}
  }

  package struct Communication: Codable, Sendable, Equatable {
    package var wire = Wire.float64
    package var bucketMegabytes = 8
    package init() {}
  }

  package struct Data: Codable, Sendable, Equatable {
    package enum Damaged: String, Choice { case skip, fail }
    package struct Faces: Codable, Sendable, Equatable {
      package var train = Dataset.Faces.clear
      package var test = Dataset.Faces.clear
      package init() {}
    }
    package var faces = Faces()
    package var augmentation = true
    package var parts = 0.0
    package var crop = CropChoice(.enlarge)
    package var rotation = RandomRotation(.none)
    package var roll = 0.0
    package var autoAugment = AutoAugment(.none)
    package var colorJitter = ColorJitter(.none)
    package var grayscale = 0.0
    package var patch = 0.0
    package var grid = GridErasing(.none)
    package var sectors = SectorDropout(.none)
    package var erasing = 0.0
    package var erasingFill = ErasingFill.mean
    package var mixUp = MixUp(.none)
    package var damaged = Damaged.skip
    package var includeValidation = false
    package var split = 0
    package var vehicles = 800
    package var distractors: [String] = []
    package var loaderThreads = 1
    package init() {}

    /// Which images a data set has.
    package var reading: DatasetReading {
      var reading = DatasetReading()
      (reading.includeValidation, reading.split) = (includeValidation, split)
      (reading.vehicles, reading.distractors) = (vehicles, distractors)
      return reading
    }
  }

  package struct Watchdog: Codable, Sendable, Equatable {
    package var seconds = 300.0
    package init() {}
  }

  package struct Divergence: Codable, Sendable, Equatable {
    package var skippedSteps = 30
    package init() {}
  }

  package struct Log: Codable, Sendable, Equatable {
    /// Named after swift-log's levels.
    package enum Level: String, Choice {
      case trace, debug, info, notice, warning, error, critical
      package var includesDebug: Bool { self == .trace || self == .debug }
    }
    package var everySteps = 1
    package var samples = false
    package var tensorBoard = false
    package var level = Level.info
    package var results = ResultStyle.torchreid
    package init() {}
  }
}

extension PaperHead: Choice {}
extension TrunkKind: Choice {}
extension TrunkNorm: Choice {}
extension PoolBorder: Choice {}
extension TrunkFilters: Choice {}
extension Tensors.Precision: Choice {}
extension Multiplication: Choice {}
extension ConvolutionAlgorithm: Choice {}
extension WeightInitialization: Choice {}
extension IdentitySampler.Scheme: Choice {}
extension SetSampler.Share: Choice {}
extension DistanceMetric: Choice {}
extension ErasingFill: Choice {}
extension Dataset.Faces: Choice {}
