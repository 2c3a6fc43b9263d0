import Foundation
import Tensors
import TestSupport
import Testing

import Training

@Suite struct ConfigurationTests {
  private func refusal(_ settings: String...) -> String? {
    message(.usage) { _ = try Configuration.resolve(settings: settings) }
  }

  private func refusal(yaml: String) throws -> String? {
    let folder = try TemporaryFolder()
    let file = try folder.file("recipe.yaml", yaml)
    return message(.usage) { _ = try Configuration.resolve(file: file) }?
      .replacingOccurrences(of: folder.path + "/", with: "")
  }

  @Test func defaultsAreValidAndThoseOfThePaper() throws {
    let configuration = try Configuration.resolve()
    #expect(configuration == Configuration())
    #expect(configuration.optimizer.learningRate == 3.5e-4)
    #expect(configuration.schedule.steps == [40, 70] && configuration.schedule.epochs == 120)
    #expect(configuration.losses.triplet.margin == 0.3)
  }

  @Test func fileThenSettingsLaterOnesWin() throws {
    let folder = try TemporaryFolder()
    let file = try folder.file(
      "recipe.yaml",
      """
      model: {head: baseline, weights: /data/resnet50.safetensors}
      msgr:
        norm: inf
        at: [input, 3]
      optimizer:
        learningRate: 1e-3
      data:
      threads: 3
      """)
    let configuration = try Configuration.resolve(
      file: file,
      settings: [
        "optimizer.learningRate=2", "optimizer.learningRate=0.25", "schedule.steps=[5, 9]", "evaluation.flip=true",
        "msgr.norm=1", "model={width: 0.5}", "seed=18446744073709551615", "schedule.epochs= 7",
      ])
    #expect(configuration.model.head == .baseline)
    #expect(configuration.model.weights == "/data/resnet50.safetensors")
    #expect(configuration.model.width == 0.5)
    #expect(configuration.msgr.norm == .one && configuration.msgr.at == [.input, .stage3])
    #expect(configuration.optimizer.learningRate == 0.25)
    #expect(configuration.schedule.steps == [5, 9] && configuration.schedule.epochs == 7)
    #expect(configuration.evaluation.flip && configuration.threads == 3 && configuration.seed == .max)
    #expect(configuration.data == Configuration.Data())
    #expect(try Configuration.resolve(file: file, settings: ["model.weights=null"]).model.weights == nil)
    #expect(try Configuration.resolve(file: file, settings: ["model.weights="]).model.weights == nil)
    #expect(try Configuration.resolve(settings: ["threads=5"], base: configuration).seed == .max)
    #expect(try Configuration.resolve(settings: ["model.weights=a=b.safetensors"]).model.weights == "a=b.safetensors")
  }

  @Test func emptyFileIsTheDefaults() throws {
    let folder = try TemporaryFolder()
    #expect(try Configuration.resolve(file: folder.file("e.yaml", "")) == Configuration())
    #expect(try Configuration.resolve(file: folder.file("c.yaml", "# nothing\n")) == Configuration())
  }

  @Test(arguments: [0.1 + 0.2, 1e-8, 0x1p-1074, 1 / 3.0, 123456.7890123456, 1e22, 0.5])
  func yamlRoundTripsExactly(rate: Double) throws {
    var configuration = Configuration()
    configuration.optimizer.learningRate = rate
    configuration.optimizer.epsilon = rate.nextUp
    configuration.model.weights = "/data/ü \"quoted\" 'null' # not a comment: null"
    configuration.msgr.at = [.input, .stage4]
    configuration.msgr.norm = .two
    configuration.schedule.steps = []
    configuration.seed = .max
    let folder = try TemporaryFolder()
    let yaml = try configuration.yaml()
    let again = try Configuration.resolve(file: folder.file("config.yaml", yaml))
    #expect(again == configuration)
    #expect(try again.yaml() == yaml)
    let json = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(Configuration.self, from: json) == configuration)
  }

  @Test(arguments: ["null", "1", "true", "~", "", "1e3", "[a]", "{b", "- c", "*d", "&e", "!f", "2001-01-01", "<<", "="])
  func awkwardPathsStayText(path: String) throws {
    var configuration = Configuration()
    configuration.model.weights = path
    let folder = try TemporaryFolder()
    let file = try folder.file("config.yaml", configuration.yaml())
    if path.isEmpty {
      #expect(message(.usage) { _ = try Configuration.resolve(file: file) }?.contains("model.weights is empty") == true)
    } else {
      #expect(try Configuration.resolve(file: file) == configuration)
    }
  }

  @Test func yamlHasTheOrderOfDeclaration() throws {
    let lines = try Configuration().yaml().split(separator: "\n").map(String.init)
    #expect(lines.prefix(4) == ["model:", "  trunk: resnet50", "  norm: batch", "  filters: plain"])
    #expect(lines.contains("  weights: null"))
    #expect(lines.contains("  at: ['1', '2']"))
    #expect(lines.contains("  steps: [40, 70]"))
    #expect(lines.contains("  learningRate: 0.00035"))
    #expect(lines.suffix(2) == ["seed: 1", "threads: 0"])
  }

  @Test func differencesNameDottedKeys() throws {
    let old = Configuration()
    let settings = ["schedule.steps=[1, 2]", "model.weights=a", "losses.triplet.margin=0.5"]
    let new = try Configuration.resolve(settings: settings)
    let found = try new.differences(from: old)
    #expect(found.map(\.key) == ["model.weights", "losses.triplet.margin", "schedule.steps"])
    #expect(found.map(\.old) == ["null", "0.3", "[40, 70]"])
    #expect(found.map(\.new) == ["a", "0.5", "[1, 2]"])
    #expect(try new.differences(from: new).isEmpty)
  }

  /// `1,2` and `1` are lists where the key is one, and nowhere else.
  @Test(arguments: [("5,9", [5, 9]), ("5", [5]), (" 5, 9 ", [5, 9]), ("[5,9]", [5, 9]), ("[]", [])])
  func aListNeedsNoBrackets(
    _ text: String, _ steps: [Int]
  ) throws {
    #expect(try Configuration.resolve(settings: ["schedule.steps=\(text)"]).schedule.steps == steps)
  }

  /// A word, a word with options, or a dotted option: all say one thing, and it is read back as it was written.
  @Test func aPartIsAWordWithOptions() throws {
    for text in ["model.attention={se: {reduction: 4}}", "model.attention.se.reduction=4"] {
      let configuration = try Configuration.resolve(settings: [text])
      guard case .se(let options) = configuration.model.attention else { throw Failure.data(text, "not se") }
      #expect(options.reduction == 4)
      let found = try configuration.differences(from: Configuration())
      #expect(found.map(\.key) == ["model.attention"] && found.first?.old == "none")
      #expect(found.first?.new == "{se: {reduction: 4}}")
      let folder = try TemporaryFolder()
      #expect(try Configuration.resolve(file: folder.file("config.yaml", configuration.yaml())) == configuration)
    }
    #expect(try Configuration.resolve(settings: ["model.attention=none"]) == Configuration())
  }

  @Test(arguments: [
    ("optimizer.learningrate=1", "unknown key optimizer.learningrate; did you mean optimizer.learningRate?"),
    ("optimiser.learningRate=1", "unknown key optimiser.learningRate; did you mean optimizer.learningRate?"),
    ("learningRate=1", "unknown key learningRate; did you mean optimizer.learningRate?"),
    ("model.wieght=1", "unknown key model.wieght; did you mean model.width?"),
    ("mdoel={head: msfl}", "unknown key mdoel.head; did you mean model.head?"),
    ("mdoel={head: msfl, width: 1}", "unknown key mdoel; did you mean model?"),
    ("xyzzyplugh.frobnicate=1", "unknown key xyzzyplugh.frobnicate"),
    ("model.width.x=1", "unknown key model.width.x; did you mean model.width?"),
    ("losses.triplet.margn=1", "unknown key losses.triplet.margn; did you mean losses.triplet.margin?"),
    ("sampling.image=4", "unknown key sampling.image; did you mean sampling.images?"),
    ("lerningRate=1", "unknown key lerningRate; did you mean optimizer.learningRate?"),
    ("optimizer.epochs=1", "unknown key optimizer.epochs; did you mean schedule.epochs?"),
    ("SAMPLING.IMAGES=1", "unknown key SAMPLING.IMAGES; did you mean sampling.images?"),
    ("margin=1", "unknown key margin; did you mean losses.triplet.margin?"),
    (
      "schedule.foo=1",
      "unknown key schedule.foo; schedule has epochs, maxSteps, kind, steps, factor, warmupEpochs, warmupSteps, warmupFactor, frozenEpochs, frozenSteps"
    ), ("x=1", "unknown key x"),
  ])
  func unknownKeys(setting: String, expected: String) {
    #expect(refusal(setting) == "--set \(setting): \(expected)")
  }

  @Test(arguments: [
    ("optimizer.learningRate=abc", "optimizer.learningRate is abc; expected a number"),
    ("optimizer.learningRate=\"1\"", "optimizer.learningRate is \"1\"; expected a number"),
    ("optimizer.learningRate=", "optimizer.learningRate is null; expected a number"),
    ("schedule.epochs=1.5", "schedule.epochs is 1.5; expected an integer"),
    ("schedule.epochs=[1]", "schedule.epochs is [1]; expected an integer"),
    ("schedule.epochs={}", "schedule.epochs is {}; expected an integer"),
    ("seed=-1", "seed is -1; expected an integer from 0 to 18446744073709551615"),
    ("threads=010", "threads is 010; expected no leading zero, which stands for base 8"),
    ("schedule.steps=[7, 010]", "schedule.steps is [7, 010]; expected no leading zero, which stands for base 8"),
    ("schedule.steps={a: 1}", "schedule.steps is {a: 1}; expected a list such as [40, 70]"),
    ("schedule.steps=null", "schedule.steps is null; expected a list such as [40, 70]"),
    ("model.heads={name: a}", "model.heads is {name: a}; expected a list"),
    (
      "model.heads=[{sources: [stage4, level9]}]",
      "model.heads[0].sources is [stage4, level9]; expected words among stage1, stage2, stage3, stage4, level1, level2, "
        + "level3, level4, branch"
    ),
    (
      "model.heads=[{losses: []}]",
      "model.heads[0].losses is []; expected list of loss terms of 1 to 16 among crossEntropy, triplet, focal, margin, centre, contrastive, weightedTriplet, rankedList, topRank"
    ),
    (
      "model.heads=[{losses: [{focal: {exponent: -1}}]}]",
      "model.heads[0].losses[0].focal.exponent is -1; expected number from 0 to 16"
    ),
    (
      "model.attention=[se]",
      "model.attention is [se]; expected one of none, se, eca, pixel, pixelChannel, nonLocal, bam, apm, gsam, atac, scan, decoupled, dgdm"
    ),
    (
      "model.attention=sa",
      "model.attention is sa; expected one of none, se, eca, pixel, pixelChannel, nonLocal, bam, apm, gsam, atac, scan, decoupled, dgdm; did you mean se?"
    ),
    (
      "model.attention={nonLocal: {blocks: [1, 2, 3]}}",
      "model.attention.nonLocal.blocks is [1, 2, 3]; expected list of four integers each from 0 to 36"
    ),
    (
      "model.attention.nonLocal.channels=-1", "model.attention.nonLocal.channels is -1; expected integer from 0 to 4096"
    ),
    ("model.attention.se=4", "model.attention.se is 4; expected {option: value} with options among reduction"),
    ("model.attention.se.reduction=x", "model.attention.se.reduction is x; expected integer from 1 to 4096"),
    (
      "model.attention={se: {ratio: 4}}",
      "model.attention.se.ratio is 4; expected an option among reduction, this one is unknown"
    ),
    ("data.colorJitter.uniform.hue=0.6", "data.colorJitter.uniform.hue is 0.6; expected number from 0 to 0.5"),
    (
      "data.colorJitter={uniform: {hues: 0.1}}",
      "data.colorJitter.uniform.hues is 0.1; expected an option among probability, brightness, contrast, saturation, hue, "
        + "this one is unknown"
    ),
    ("data.autoAugment.reid.probability=2", "data.autoAugment.reid.probability is 2; expected number from 0 to 1"),
    ("data.autoAugment=cifar", "data.autoAugment is cifar; expected one of none, reid, imagenet"),
    ("data.faces.train=none", "data.faces.train is none; expected one of clear, blurred"),
    ("data.faces=blurred", "data.faces is blurred; expected a section with keys among train, test"),
    ("data.rotation.uniform.degrees=91", "data.rotation.uniform.degrees is 91; expected number from 0 to 90"),
    ("data.grid=squares", "data.grid is squares; expected one of none, lines"),
    ("data.sectors=bands", "data.sectors is bands; expected one of none, band; did you mean band?"),
    ("data.erasingFill=black", "data.erasingFill is black; expected one of mean, color, noise"),
    ("schedule.steps=[40, x]", "schedule.steps[1] is x; expected an integer"),
    ("evaluation.flip=1", "evaluation.flip is 1; expected true or false"),
    ("evaluation.singleShot=10", "evaluation.singleShot is 10; expected true or false"),
    ("model.head=resnet", "model.head is resnet; expected one of msfl, baseline"),
    ("model.head=[msfl]", "model.head is [msfl]; expected one of msfl, baseline"),
    ("model.head=null", "model.head is null; expected text"),
    ("model.weights=[a]", "model.weights is [a]; expected text or null"),
    ("msgr.norm=3", "msgr.norm is 3; expected one of 1, 2, inf"),
    ("msgr.at=[1, 5]", "msgr.at[1] is 5; expected one of input, 1, 2, 3, 4"),
    (
      "sampling.scheme=random",
      "sampling.scheme is random; expected one of paper, shuffled, randomIdentity; did you mean randomIdentity?"
    ),
    ("log=3", "log is 3; expected a section with keys among everySteps, samples, tensorBoard, level, results"),
    ("model.head=msfI", "model.head is msfI; expected one of msfl, baseline; did you mean msfl?"),
    ("model.head=MSFL", "model.head is MSFL; expected one of msfl, baseline; did you mean msfl?"),
    ("msgr.at=[1, imput]", "msgr.at[1] is imput; expected one of input, 1, 2, 3, 4; did you mean input?"),
    (
      "log.level=warn",
      "log.level is warn; expected one of trace, debug, info, notice, warning, error, critical; did you mean warning?"
    ),
    // Base 60, whose arithmetic would overflow.
    ("threads=9223372036854775807:59", "threads is 9223372036854775807:59; expected an integer"),
    ("threads=0:0:0:0:0:0:0:0:0:0:0:0", "threads is 0:0:0:0:0:0:0:0:0:0:0:0; expected an integer"),
    ("schedule.steps=[1, 1:30]", "schedule.steps is [1, 1:30]; expected a list such as [40, 70]"),
    ("optimizer.learningRate=1:30", "optimizer.learningRate is 1:30; expected a number"),
    ("threads", "expected key=value, as in --set schedule.epochs=60"),
    ("=3", "expected a dotted key before =, as in --set schedule.epochs=60"),
    ("a..b=3", "expected a dotted key before =, as in --set schedule.epochs=60"),
  ])
  func wrongTypes(setting: String, expected: String) {
    #expect(refusal(setting) == "--set \(setting): \(expected)")
  }

  @Test func brokenFiles() throws {
    #expect(try refusal(yaml: "model:\n  head: [msfl\n")?.hasPrefix("recipe.yaml: line 3, column 1: ") == true)
    #expect(try refusal(yaml: "seed: 1\nseed: 2\n")?.contains("seed occurs twice") == true)
    #expect(try refusal(yaml: "- 1\n")?.hasPrefix("recipe.yaml: the configuration is [1]; expected a section") == true)
    let mistyped = try refusal(yaml: "model:\n  hed: msfl\n")
    #expect(mistyped == "recipe.yaml: unknown key model.hed; did you mean model.head?")
    #expect(
      try refusal(yaml: "model.width: 0.5\n")
        == "recipe.yaml: model.width: in a file its parts are sections; write model: {width: 0.5}")
    #expect(
      try refusal(yaml: "losses:\n  triplet.margin: 0.3\n")
        == "recipe.yaml: losses.triplet.margin: in a file its parts are sections; write losses: {triplet: {margin: 0.3}}"
    )
    #expect(try refusal(yaml: "threads: many\n") == "recipe.yaml: threads is many; expected an integer")
    let folder = try TemporaryFolder()
    let missing = try folder.file("missing.yaml")
    #expect(
      message(.usage) { _ = try Configuration.resolve(file: missing) } == "\(missing): no such configuration file")
    for text in try [refusal(yaml: "a: b: c\n"), refusal(yaml: "\u{1}"), refusal(yaml: "%YAML 9.9\n---\na: *x\n")] {
      #expect(text != nil && text?.contains("\n") == false)
    }
  }

  @Test(arguments: [
    ("model.width=0", "model.width is 0.0"), ("model.width=.nan", "model.width is nan"),
    ("model.width=0.001", "leave at least 1 of 64 channels"), ("model.embedding=0", "model.embedding is 0"),
    ("model.lastStride=3", "model.lastStride is 3; it must be 1 or 2"), ("model.stages=[]", "model.stages is []"),
    ("model.stages=[2, 1]", "ascending"), ("model.stages=[4, 4]", "ascending"), ("model.stages=[0, 4]", "ascending"),
    ("model.stages=[1, 2]", "ends with 4"), ("input.height=250", "positive multiple of 32"),
    ("input.width=0", "input.width is 0"), ("losses.triplet.margin=-1", "losses.triplet.margin is -1.0"),
    ("losses.triplet.weight=.inf", "losses.triplet.weight is inf"), ("sampling.images=1", "sampling.images is 1"),
    ("sampling.identities=1", "2 or more for the triplet loss"), ("optimizer.learningRate=0", "above 0"),
    ("optimizer.weightDecay=-1", "optimizer.weightDecay"), ("optimizer.beta1=1", "below 1"),
    ("optimizer.beta2=-0.5", "optimizer.beta2"), ("optimizer.epsilon=0", "optimizer.epsilon"),
    ("schedule.epochs=0", "schedule.epochs"), ("schedule.steps=[70, 40]", "ascending order"),
    ("schedule.steps=[0]", "1 or more"), ("schedule.factor=2", "schedule.factor is 2.0"),
    ("schedule.warmupEpochs=-1", "schedule.warmupEpochs"), ("schedule.warmupFactor=0", "schedule.warmupFactor"),
    ("lossScale.initial=1000", "power of two"), ("lossScale.growthInterval=0", "lossScale.growthInterval"),
    ("evaluation.everyEpochs=-1", "evaluation.everyEpochs"), ("evaluation.batch=0", "evaluation.batch"),
    ("checkpoint.everyEpochs=-1", "checkpoint.everyEpochs"), ("checkpoint.everySteps=-1", "checkpoint.everySteps"),
    ("checkpoint.keep=0", "checkpoint.keep"), ("data.erasing=1.5", "probability from 0 to 1"),
    ("data.grayscale=-0.1", "probability from 0 to 1"), ("data.patch=2", "probability from 0 to 1"),
    ("data.loaderThreads=0", "data.loaderThreads"), ("log.everySteps=0", "log.everySteps"), ("threads=-1", "threads"),
    ("msgr.at=[]", "msgr.at"), ("msgr.at=[1, 1]", "each once"), ("msgr.lambda=-1", "msgr.lambda is -1.0"),
    ("adaptiveL2.amplitude=0", "above 0"), ("adaptiveL2.tensors=[bias,bias]", "each once"),
    ("model.width=4.1", "at most 4"), ("model.embedding=4000000000000000000", "from 1 to 16384"),
    ("input.height=4096", "at most 2048"), ("schedule.epochs=9000000000000000000", "from 1 to 1000000"),
    ("schedule.steps=[1000001]", "at most 1000000"), ("lossScale.initial=.inf", "power of two"),
    ("watchdog.seconds=-1", "from 0 to 86400"), ("watchdog.seconds=86401", "from 0 to 86400"),
    ("watchdog.seconds=.nan", "from 0 to 86400"), ("divergence.skippedSteps=0", "from 1"),
    ("evaluation.batch=4097", "from 1 to 4096"), ("sampling.images=2049", "2048 or less with 8 identities"),
    ("average.decay=1", "below 1"), ("optimizer.clipNorm=-1", "optimizer.clipNorm is -1.0"),
    ("optimizer.factors.trunk.learningRate=1001", "from 0 to 1000"), ("schedule.frozenEpochs=-1", "from 0"),
    ("schedule.frozenSteps=-1", "from 0"),
    ("data.mixUp=beta", "none with the triplet loss"), ("data.vehicles=700", "800, 1600 or 2400"),
    ("data.roll=2", "probability from 0 to 1"), ("data.parts=1.5", "probability from 0 to 1"),
    ("sampling.minimumImages=0", "from 1 to 16384"), ("data.split=-1", "from 0 to 1000000"),
    ("data.distractors=[\"\"]", "a list of at most 64 folders"),
    ("model.weights=\"a\\0b\"", "the path of a safetensors file"),
  ])
  func outOfRange(setting: String, part: String) {
    let text = refusal(setting)
    #expect(text?.contains(part) == true, "\(text ?? "accepted")")
    #expect(text?.hasPrefix(String(setting.prefix { $0 != "=" }) + " is ") == true)
  }

  /// No key takes a number without end.
  @Test func everyNumberHasAnUpperBound() throws {
    for key in ConfigurationKey.all where key.path != "seed" {
      let most: [String: (String, String)] = ["integer": ("\(Int.max)", "\(Int.min)"), "number": ("1e300", "-1e300")]
      guard let (large, small) = most[key.type] else { continue }
      for value in [large, small] {
        #expect(refusal("\(key.path)=\(value)")?.hasPrefix("\(key.path) is ") == true, "\(key.path)=\(value)")
      }
    }
    let list = (1...1001).map(String.init).joined(separator: ", ")
    let steps = try #require(refusal("schedule.steps=[\(list)]"))
    #expect(steps.contains("up to 1000") && steps.count < 250)
  }

  /// Factors that are in range multiply to numbers that an `Int` holds.
  @Test func extremesMultiply() throws {
    let longest = try Configuration.resolve(settings: [
      "schedule.epochs=1000000", "schedule.warmupEpochs=1000000", "schedule.maxSteps=1000000000000",
      "schedule.steps=[1000000]",
    ])
    let rate = Schedule(longest).learningRate(epoch: 999_999, step: 0, stepsPerEpoch: 1 << 40)
    #expect(rate.isFinite && rate > 0)
    let large = ["input.height=2048", "input.width=2048"]
    #expect(
      refusal("sampling.identities=16384", "sampling.images=16384")?.hasPrefix("sampling.images is 16384") == true)
    #expect(
      message(.usage) {
        _ = try Configuration.resolve(settings: large + ["sampling.images=512"])
      }?.hasPrefix("input.height is 2048; it must be smaller: 4096 images a batch") == true)
    #expect(
      message(.usage) {
        _ = try Configuration.resolve(settings: large + ["evaluation.batch=4096"])
      }?.hasPrefix("evaluation.batch is 4096; it must be 2048 or less") == true)
    for allowed in [
      ["sampling.images=2048"], ["sampling.identities=8192", "sampling.images=2"], large + ["sampling.images=256"],
      ["threads=1024", "data.loaderThreads=256"], ["watchdog.seconds=0"], ["watchdog.seconds=2"],
      ["divergence.skippedSteps=1"], ["model.width=4", "model.embedding=16384"],
    ] {
      #expect(throws: Never.self) { try Configuration.resolve(settings: allowed) }
    }
    // A number that is not finite is named, whatever comes after it.
    #expect(refusal("model.width=.nan", "threads=1")?.hasPrefix("model.width is nan; ") == true)
  }

  @Test func combinations() throws {
    #expect(
      refusal("optimizer.kind={sgd: {momentum: 0, nesterov: true}}")
        == "optimizer.kind.sgd.nesterov is true; it must be false without momentum")
    #expect(refusal("precision.multiply=bfloat16", "precision.storage=float32")?.contains("float32") == true)
    #expect(
      refusal("precision.convolution=winograd", "precision.storage=float64")
        == "precision.convolution is winograd; it must be direct where precision.storage is float64")
    #expect(
      refusal("communication.wire=int32", "precision.storage=float64")
        == "communication.wire is int32; it must be another where precision.storage is float64, whose gradients are not rounded"
    )
    #expect(
      refusal("model.attention=nonLocal", "model.trunk=osnet")
        == "model.attention is nonLocal; it must be another where model.trunk is osnet: non-local blocks stand in a ResNet"
    )
    #expect(
      refusal("model.attention=atac", "model.trunk=osnet")
        == "model.attention is atac; it must be another where model.trunk is osnet: its activations stand in the blocks of a ResNet"
    )
    #expect(
      refusal("model.attention=scan", "input.height=1024", "input.width=512")
        == "model.attention is scan; it must be another where images are 1024×512: it compares every two of 2048 pixels of stage 3, of which there may be 1024"
    )
    #expect(refusal("model.attention=decoupled", "input.height=512", "input.width=512") == nil)
    #expect(
      refusal("model.branch=bottlenecks")
        == "model.branch is bottlenecks; it must be none without model.heads to read it")
    #expect(
      refusal("model.branch=bottlenecks", "model.head=baseline", "model.heads=[{sources: [stage4]}]")
        == "model.branch is bottlenecks; it must be none where no head reads it")
    #expect(
      refusal("model.head=baseline", "model.heads=[{sources: [branch]}]")
        == "model.heads[0].sources is branch; it must be another without model.branch")
    #expect(
      refusal("model.branch=groie", "model.head=baseline", "model.heads=[{sources: [branch]}]")
        == "model.branch is groie; it must be another without a pyramid (model.head, model.lateral)")
    #expect(
      refusal("model.pyramid=pam", "model.head=baseline")
        == "model.pyramid is pam; it must be plain without a pyramid (model.head, model.lateral)")
    #expect(
      refusal("model.pyramid=pam", "model.lateral=false")
        == "model.pyramid is pam; it must be plain without model.lateral")
    #expect(
      refusal("model.pyramid=darn", "model.topDown=false")
        == "model.pyramid is darn; it must be plain without model.topDown")
    let parts = "model.heads=[{name: a}, {name: b, label: part, losses: [crossEntropy]}]"
    #expect(
      refusal(parts)
        == "model.heads[1].label is part; it must be another without data.parts and data.augmentation, with which every image is whole"
    )
    #expect(refusal(parts, "data.parts=0.5", "data.augmentation=false")?.contains("label is part") == true)
    #expect(
      refusal("data.grid={lines: {least: 9, most: 8}}")
        == "data.grid.lines.least is 9; it must be 8 or less (most)")
    #expect(
      refusal("data.sectors={band: {least: 0.5}}") == "data.sectors.band.least is 0.5; it must be 0.25 or less (most)")
    for allowed in [
      ["data.faces.test=blurred"], [parts, "data.parts=0.5"], ["data.grid=lines", "data.sectors=band"],
      ["precision.multiply=bfloat16"], ["precision.convolution=winograd"],
      ["model.stages=[2, 4]", "model.topDown=false"], ["model.width=0.0625"],
      ["model.head=baseline", "model.stages=[]"], ["sampling.images=1", "losses.triplet.weight=0"],
      ["schedule.epochs=3"], ["schedule.steps=[]"], ["evaluation.everyEpochs=0", "checkpoint.everyEpochs=0"],
    ] {
      #expect(throws: Never.self) { try Configuration.resolve(settings: allowed) }
    }
  }
}
