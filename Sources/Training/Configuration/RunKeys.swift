import Dataset
import Evaluation
import Tensors

/// The table goes on: the sections about how a run goes, and the keys that stand in none.
extension ConfigurationSection {
  static var schedule: Self {
    Self(
      "schedule", "How long a run is, and the learning rate over its time.",
      [
        .integer("schedule.epochs", \.schedule.epochs, 1...mostEpochs, "Epochs of the run."),
        .integer(
          "schedule.maxSteps", \.schedule.maxSteps, 0...mostSteps,
          "Ends the run after this many steps, within an epoch if need be; 0 for no such limit."),
        .part(
          "schedule.kind", ScheduleKind.self,
          "How the rate falls after warm-up: " + meanings(ScheduleKind.Kind.self, \.meaning) + "."),
        .checked(
          "schedule.steps", \.schedule.steps, type: "list of integers",
          "a list of up to 1000 epochs in ascending order, each 1 or more and at most \(mostEpochs)",
          "Epochs, counted from 0, that begin with the learning rate multiplied by `schedule.factor`.",
          allows: areEpochs),
        .number(
          "schedule.factor", \.schedule.factor, above: 0, atMost: 1,
          "What each of `schedule.steps` multiplies the learning rate by."),
        .integer(
          "schedule.warmupEpochs", \.schedule.warmupEpochs, 0...mostEpochs,
          "Epochs over which the rate rises linearly from `schedule.warmupFactor` of itself; 0 for no warm-up."),
        .integer("schedule.warmupSteps", \.schedule.warmupSteps, 0...mostSteps, "Steps of warm-up, beside its epochs."),
        .number(
          "schedule.warmupFactor", \.schedule.warmupFactor, above: 0, atMost: 1,
          "The share of the learning rate that warm-up begins with."),
        .integer(
          "schedule.frozenEpochs", \.schedule.frozenEpochs, 0...mostEpochs,
          "Epochs at the start in which the trunk's parameters stay as they are, so that new heads find their place first. "
            + "Its running statistics move."),
        .integer("schedule.frozenSteps", \.schedule.frozenSteps, 0...mostSteps, "Such steps, beside these epochs."),
      ])
  }

  static var average: Self {
    Self(
      "average", "A moving average of the weights, which is then what is evaluated, extracted by and kept as the best.",
      [
        .checked(
          "average.decay", \.average.decay, type: "number", "at least 0 and below 1",
          "δ: how much of the average each update leaves, such as 0.999; less in the first updates. 0 turns it off.",
          allows: { value, _ in (0..<1).contains(value) })
      ])
  }

  @Sendable private static func areEpochs(_ epochs: [Int], _: Configuration) -> Bool {
    epochs.count <= 1000 && epochs.allSatisfy((1...mostEpochs).contains) && isAscending(epochs)
  }

  static var lossScale: Self {
    Self(
      "lossScale",
      "The power of two that the loss is computed times in float16, so that small gradients survive; halved where one overflows.",
      [
        .checked(
          "lossScale.initial", \.lossScale.initial, type: "number", "a positive power of two, from 2⁻⁶⁴ to 2⁶⁴",
          "The scale at the start.",
          allows: { value, _ in value.significand == 1 && (0x1p-64...0x1p64).contains(value) }),
        .integer(
          "lossScale.growthInterval", \.lossScale.growthInterval, 1...mostSteps, "Clean steps before the scale doubles."
        ),
      ])
  }

  static var evaluation: Self {
    Self(
      "evaluation", "How the network is judged: mAP and CMC of query images against the gallery.",
      [
        .integer(
          "evaluation.everyEpochs", \.evaluation.everyEpochs, 0...mostEpochs,
          "Epochs between two evaluations; 0 evaluates after the last epoch only."),
        .flag("evaluation.beforeTraining", "Whether the network is also evaluated before its first step."),
        .flag("evaluation.flip", "Whether the embedding is the mean of an image's and its mirror image's."),
        .choice(
          "evaluation.metric", DistanceMetric.self,
          "The distance of embeddings: `euclidean`, or `cosine`, one minus the cosine of the angle between them."),
        .integer("evaluation.batch", \.evaluation.batch, 1...4096, "Images of one rank that pass the network at once."),
        .flag("evaluation.rerank", "Whether the metrics after k-reciprocal re-ranking are reported too."),
        .part(
          "evaluation.expansion", ExpansionChoice.self,
          "Whether the metrics of expanded features are reported too: "
            + meanings(ExpansionChoice.Kind.self, \.meaning) + "."),
        .flag(
          "evaluation.multiQuery",
          "Whether the metrics are reported too where a query is the mean of all images of its identity and camera, those of the gallery too."
        ),
        .flag(
          "evaluation.parts",
          "Whether the metrics are reported too where a query is looked for in the gallery cut to what the query shows of a person, as the first head of `label: part` tells (`docs/systems.md`); takes up to six more passes over the gallery."
        ),
        .flag(
          "evaluation.singleShot",
          "Whether the CMC is reported too where the gallery shows one image of each identity, drawn 10 times (CUHK03's old protocol)."
        ),
        .flag(
          "evaluation.verification",
          "Whether the share of pairs of one person that a threshold lets pass is reported where it lets pass 1e-4, 1e-3 and 1e-2 of the others; takes two more passes over the distances."
        ),
        .flag(
          "evaluation.cameraPairs", "Whether mAP and rank-1 are reported too by the query's and the gallery's camera."),
      ])
  }

  static var checkpoint: Self {
    Self(
      "checkpoint",
      "When the state of a run is saved. One is always written at the end, and when the job is asked to stop; none while steps "
        + "are being skipped.",
      [
        .integer(
          "checkpoint.everyEpochs", \.checkpoint.everyEpochs, 0...mostEpochs,
          "Epochs between two checkpoints; 0 writes one after the last epoch only."),
        .integer(
          "checkpoint.everySteps", \.checkpoint.everySteps, 0...mostSteps,
          "Steps between two checkpoints, beside those of `checkpoint.everyEpochs`; 0 turns it off."),
        .integer(
          "checkpoint.keep", \.checkpoint.keep, 1...mostEpochs,
          "How many of the latest checkpoints stay, beside the best and the proven one."),
      ])
  }

  static var communication: Self {
    Self(
      "communication", "How gradients are summed over ranks.",
      [
        .choice(
          "communication.wire", Wire.self,
          "What gradients cross ranks as. With `float64` and `int32` N ranks follow one bit for bit; `int32` rounds the gradient of each "
            + "group of four images to 24 bits of the tensor's largest in the step before. The others round each sum."),
        .integer(
          "communication.bucketMegabytes", \.communication.bucketMegabytes, 1...2000,
          "Gradients that are summed at once, in 10⁶ bytes on the wire."),
      ])
  }

  static var data: Self {
    Self(
      "data", "How images are read and varied.",
      [
        .choice(
          "data.faces.train", Faces.self,
          "Faces of training images, before all else: " + meanings(Faces.self, \.meaning)
            + ". They are what the column `face` of own data says."),
        .choice(
          "data.faces.test", Faces.self,
          "The same of the images that are searched for and among, and of those that features are extracted of."),
        .flag(
          "data.augmentation", "Random crop and mirroring of training images, and what the following keys add to them."),
        probability(
          "data.parts", \.data.parts,
          "Probability that of a training image a part alone is seen, resized: its upper or lower three quarters, half or third. "
            + "A head of `label: part` tells these and the whole apart."),
        .part(
          "data.crop", CropChoice.self,
          "What of a training image is seen, with `data.augmentation`: " + meanings(CropChoice.Kind.self, \.meaning)
            + "."),
        .part(
          "data.rotation", RandomRotation.self,
          "How a training image is turned after crop and mirror: " + meanings(RandomRotation.Kind.self, \.meaning) + "."
        ),
        probability(
          "data.roll", \.data.roll,
          "Probability that the columns of a training image are then turned round its border by a random number of them: scans of the full circle."
        ),
        .part(
          "data.autoAugment", AutoAugment.self,
          "What a training image goes through after that: " + meanings(AutoAugment.Kind.self, \.meaning)
            + "."
        ),
        .part(
          "data.colorJitter", ColorJitter.self,
          "Colours of a training image after that: " + meanings(ColorJitter.Kind.self, \.meaning) + "."),
        probability(
          "data.grayscale", \.data.grayscale, "Probability that a training image loses its colours after that."),
        probability(
          "data.patch", \.data.patch,
          "Probability that a random part of another image of the batch is then put on a training image (torchreid's random patch)."
        ),
        .part(
          "data.grid", GridErasing.self,
          "What lies over a training image then: " + meanings(GridErasing.Kind.self, \.meaning) + "."),
        .part(
          "data.sectors", SectorDropout.self,
          "Sectors that a training image then loses: " + meanings(SectorDropout.Kind.self, \.meaning) + "."),
        probability(
          "data.erasing", \.data.erasing,
          "Probability that a random rectangle of a training image is covered (random erasing)."),
        .choice(
          "data.erasingFill", ErasingFill.self,
          "What such a rectangle, a sector or the lines of a grid are covered with: "
            + meanings(ErasingFill.self, \.meaning) + "."),
        .part(
          "data.mixUp", MixUp.self,
          "What a training image is mixed with at last: " + meanings(MixUp.Kind.self, \.meaning)
            + ". No other loss takes mixed images: that of the method's own head goes by `losses.triplet.weight=0`."),
        .choice(
          "data.damaged", Configuration.Data.Damaged.self,
          "What a training image that cannot be decoded leads to: `skip` leaves it out and counts it, `fail` ends the run."
        ),
        .flag("data.includeValidation", "Whether MSMT17's validation images are trained on."),
        .integer(
          "data.split", \.data.split, 0...1_000_000,
          "Which random division of a data set that has none of its own: VIPeR, PRID, VehicleID's gallery, own data without splits."
        ),
        .checked(
          "data.vehicles", \.data.vehicles, type: "integer", "800, 1600 or 2400",
          "Which of VehicleID's lists is tested on, by its number of vehicles."
        ) { value, _ in DatasetReading.vehicleLists.contains(value) },
        .checked(
          "data.distractors", \.data.distractors, type: "list of texts", "a list of at most 64 folders",
          "Folders of images that join the gallery of every test, of nobody who is searched for (such as Market-1501's 500k)."
        ) { folders, _ in folders.count <= 64 && folders.allSatisfy { !$0.isEmpty } },
        .integer("data.loaderThreads", \.data.loaderThreads, 1...256, "Threads of one rank that decode images."),
      ])
  }

  private static func probability(
    _ path: String, _ place: ConfigurationKey.Place<Double>, _ meaning: String
  ) -> ConfigurationKey {
    .checked(path, place, type: "number", "a probability from 0 to 1", meaning) { value, _ in (0...1).contains(value) }
  }

  static var log: Self {
    Self(
      "log", "What a run says of itself.",
      [
        .integer("log.everySteps", \.log.everySteps, 1...mostSteps, "Steps between two log lines."),
        .flag("log.samples", "Whether the sample list of every step is logged."),
        .flag(
          "log.tensorBoard",
          "Whether event files for TensorBoard are written too, in `tensorboard/` of the run: scalars, pictures, embeddings."
        ),
        .choice("log.level", Configuration.Log.Level.self, "The least severe lines that are logged."),
        .choice(
          "log.results", ResultStyle.self,
          "The tool whose lines a result has beside the table, for scripts that read them: "
            + meanings(ResultStyle.self, \.meaning) + "."),
      ])
  }

  static var watchdog: Self {
    Self(
      "watchdog", "What looks after ranks that are dead, stopped or cut off.",
      [
        .number(
          "watchdog.seconds", \.watchdog.seconds, 0...86400,
          "A rank that is missing for so long, in seconds, ends the job; 0 waits for ever.")
      ])
  }

  static var divergence: Self {
    Self(
      "divergence", "When a run has no hope left.",
      [
        .integer(
          "divergence.skippedSteps", \.divergence.skippedSteps, 1...mostSteps,
          "Steps skipped in a row, for gradients or a loss that are not finite, after which the job stops as diverged.")
      ])
  }

  static var run: Self {
    Self(
      "", "Keys that stand in no section.",
      [
        ConfigurationKey(
          path: "seed", type: "integer", range: "from 0 to \(UInt64.max)",
          meaning: "Seeds initialization, sampling and augmentation.", words: [], outOfRange: { _ in nil }),
        .integer(
          "threads", \.threads, 0...1024,
          "Threads of one rank; 0 takes as many as the affinity mask of the process and its container's quota allow."),
      ])
  }
}
