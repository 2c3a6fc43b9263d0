import Dataset
import Losses

extension BatchRequest {
  /// The share `own` of an announced batch, as the configuration varies images.
  init(_ batch: AnnouncedBatch, of training: [Sample], _ own: Range<Int>, _ configuration: Configuration) {
    let settings = configuration.data
    self.init(
      samples: batch.samples[own].map { training[$0] }, positions: own.map { batch.firstPosition + $0 },
      epoch: batch.epoch, transforms: Transforms(configuration), augment: settings.augmentation,
      onDamage: settings.damaged == .skip ? .skip : .fail)
    guard settings.patch > 0 || settings.mixUp.part.kind != .none else { return }
    (donors, firstDonor) = (batch.samples.map { training[$0] }, batch.firstPosition)
  }
}

extension RowLabels {
  /// Of the rows of a batch, by the classes of identities and cameras, and what of a person each shows.
  init(_ batch: ImageBatch, _ classes: [Int: Int], _ cameras: [Int: Int]) {
    self.init(
      identities: batch.samples.map { classes[$0.identity]! }, cameras: batch.samples.map { cameras[$0.camera]! },
      parts: batch.parts.map(\.rawValue),
      mixes: batch.mixes.map { mixed in
        mixed.map {
          Mix(
            identity: classes[$0.sample.identity]!, camera: cameras[$0.sample.camera]!, part: $0.part.rawValue,
            share: $0.share)
        }
      })
  }
}
