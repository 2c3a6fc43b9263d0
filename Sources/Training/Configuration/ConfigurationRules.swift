import Kernels
import Tensors

extension Configuration {
  /// Checks ranges and combinations; `Failure.usage` names the dotted key, its value and what is allowed.
  package func validate() throws {
    try validateModel()
    try validateMethod()

    try require(evaluation.everyEpochs >= 0, "evaluation.everyEpochs", evaluation.everyEpochs, "0 or more")
    try require(evaluation.batch >= 1, "evaluation.batch", evaluation.batch, "1 or more")
    try require(checkpoint.everyEpochs >= 0, "checkpoint.everyEpochs", checkpoint.everyEpochs, "0 or more")
    try require(checkpoint.everySteps >= 0, "checkpoint.everySteps", checkpoint.everySteps, "0 (off) or more")
    try require(checkpoint.keep >= 1, "checkpoint.keep", checkpoint.keep, "1 or more")
    let bucket = communication.bucketMegabytes
    try require((1...2000).contains(bucket), "communication.bucketMegabytes", bucket, "from 1 to 2000")
    try require((0...1).contains(data.erasing), "data.erasing", data.erasing, "a probability from 0 to 1")
    try require(data.loaderThreads >= 1, "data.loaderThreads", data.loaderThreads, "1 or more")
    try require(log.everySteps >= 1, "log.everySteps", log.everySteps, "1 or more")
    let patience = watchdog.seconds
    try require((0...86400).contains(patience), "watchdog.seconds", patience, "from 0 (off) to 86400")
    try require(divergence.skippedSteps >= 1, "divergence.skippedSteps", divergence.skippedSteps, "1 or more")
    try require(threads >= 0, "threads", threads, "0 (all that the affinity mask allows) or more")
  }

  private func validateModel() throws {
    // 64 channels, those of the first convolution, are the fewest that `width` scales.
    try require(
      model.width.isFinite && (64 * model.width).rounded() >= 1, "model.width", model.width,
      "positive and leave at least 1 of 64 channels (1/128 or more)")
    try require(model.embedding >= 1, "model.embedding", model.embedding, "1 or more")
    try require((1...2).contains(model.lastStride), "model.lastStride", model.lastStride, "1 or 2")
    try require(model.weights != "", "model.weights", "empty", "the path of a safetensors file, or null")
    if model.head == .msfl {
      let stages = model.stages
      try require(
        stages.last == 4 && stages.allSatisfy((1...4).contains) && ascending(stages), "model.stages", stages,
        "an ascending list of stages 1 to 4 that ends with 4")
      try require(
        model.lateral || model.topDown || !model.fusion, "model.fusion", model.fusion,
        "false without model.lateral and model.topDown: there is no pyramid to put bottlenecks on")
    }
    for (key, pixels) in [("input.height", input.height), ("input.width", input.width)] {
      try require(pixels > 0 && pixels % 32 == 0, key, pixels, "a positive multiple of 32")
    }
    try require(
      precision.multiply == .exact || precision.storage == .float16, "precision.multiply", precision.multiply.rawValue,
      "exact where precision.storage is \(precision.storage.rawValue)")
  }

  private func validateMethod() throws {
    let triplet = losses.triplet
    try require(triplet.weight >= 0 && triplet.weight.isFinite, "losses.triplet.weight", triplet.weight, "0 or more")
    try require(triplet.margin >= 0 && triplet.margin.isFinite, "losses.triplet.margin", triplet.margin, "0 or more")
    try require(msgr.lambda >= 0 && msgr.lambda.isFinite, "msgr.lambda", msgr.lambda, "0 or more")
    let places = msgr.at.map(\.rawValue)
    try require(
      !places.isEmpty && Set(places).count == places.count, "msgr.at", places,
      "a list of one or more of input, 1, 2, 3, 4, each once")
    let adaptive = adaptiveL2, kinds = adaptive.tensors.map(\.rawValue)
    try require(
      adaptive.amplitude > 0 && adaptive.amplitude.isFinite, "adaptiveL2.amplitude", adaptive.amplitude, "above 0")
    try require(adaptive.initial.isFinite, "adaptiveL2.initial", adaptive.initial, "a finite number")
    try require(
      !kinds.isEmpty && Set(kinds).count == kinds.count, "adaptiveL2.tensors", kinds,
      "a list of one or more of convolution, linear, bias, normScale, normShift, each once")
    // A triplet needs a second image of the anchor's identity and a second identity.
    let least = triplet.weight > 0 ? 2 : 1
    let why = triplet.weight > 0 ? "2 or more for the triplet loss" : "1 or more"
    try require(sampling.identities >= least, "sampling.identities", sampling.identities, why)
    try require(sampling.images >= least, "sampling.images", sampling.images, why)

    let rate = optimizer.learningRate, decay = optimizer.weightDecay
    try require(rate > 0 && rate.isFinite, "optimizer.learningRate", rate, "above 0")
    try require(decay >= 0 && decay.isFinite, "optimizer.weightDecay", decay, "0 or more")
    try require((0..<1).contains(optimizer.beta1), "optimizer.beta1", optimizer.beta1, "at least 0 and below 1")
    try require((0..<1).contains(optimizer.beta2), "optimizer.beta2", optimizer.beta2, "at least 0 and below 1")
    let epsilon = optimizer.epsilon
    try require(epsilon > 0 && epsilon.isFinite, "optimizer.epsilon", epsilon, "above 0")

    try require(schedule.epochs >= 1, "schedule.epochs", schedule.epochs, "1 or more")
    try require(schedule.maxSteps >= 0, "schedule.maxSteps", schedule.maxSteps, "0 (no limit) or more")
    try require(
      schedule.steps.allSatisfy { $0 >= 1 } && ascending(schedule.steps), "schedule.steps", schedule.steps,
      "a list of epochs, 1 or more, in ascending order")
    let factor = schedule.factor, start = schedule.warmupFactor
    try require(factor > 0 && factor <= 1, "schedule.factor", factor, "above 0 and at most 1")
    try require(schedule.warmupEpochs >= 0, "schedule.warmupEpochs", schedule.warmupEpochs, "0 or more")
    try require(start > 0 && start <= 1, "schedule.warmupFactor", start, "above 0 and at most 1")

    let scale = lossScale.initial
    try require(
      scale.isFinite && scale > 0 && scale.significand == 1, "lossScale.initial", scale, "a positive power of two")
    try require(lossScale.growthInterval >= 1, "lossScale.growthInterval", lossScale.growthInterval, "1 or more")
  }

  private func require(_ holds: Bool, _ key: String, _ value: some Any, _ allowed: String) throws {
    if !holds { throw Failure.usage("\(key) is \(value); it must be \(allowed)") }
  }

  /// Strictly, so that nothing occurs twice.
  private func ascending(_ list: [Int]) -> Bool { zip(list, list.dropFirst()).allSatisfy { $0 < $1 } }
}
