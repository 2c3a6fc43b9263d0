import Dataset
import Evaluation
import Layers
import Storage
import Tensors
import TensorBoard

/// With `log.tensorBoard`: what `RUN/tensorboard` has beside `metrics.jsonl`. On rank 0.
///
/// Scalars are the fields of the lines of `metrics.jsonl`, by other names. What cannot be written is said once, and nothing more
/// is: the run goes on without.
package final class RunEvents {
  private let folder: String
  private let log: RunLog
  private var file: EventFile?
  /// Thumbnails of these images.
  private var sprite: (images: [String], ProjectorFolder.Sprite)?

  /// - Parameter step: the first one that is told from now on.
  init(_ folder: String, from step: Int, _ log: RunLog) throws {
    (self.folder, self.log) = (folder, log)
    file = try EventFile(in: folder, from: step)
  }

  private func attempt(_ body: (EventFile) throws -> Void) {
    guard let file else { return }
    do {
      try body(file)
    } catch {
      log.warning("log.tensorBoard: \(error); no more events are written")
      self.file = nil
    }
  }

  // MARK: - Scalars

  func record(step: Int, _ fields: [(key: String, value: MetricValue)]) {
    attempt { try $0.append(step, Self.scalars(fields) { Self.tag($0) }) }
  }

  /// - Parameter set: the data set that was tested on.
  func record(evaluation step: Int, of set: String, _ fields: [(key: String, value: MetricValue)]) {
    attempt { try $0.append(step, Self.scalars(fields) { "test/\(set)/\($0)" }) }
  }

  private static func scalars(
    _ fields: [(key: String, value: MetricValue)], _ tag: (String) -> String
  ) -> [EventValue] {
    fields.compactMap { key, value in
      switch value {
      case .integer(let number): .scalar(tag(key), Float(number))
      case .number(let number): .scalar(tag(key), Float(number))
      case .single(let number): .scalar(tag(key), number)
      case .flag, .text, .null: nil
      }
    }
  }

  /// Of a field of a step.
  static func tag(_ field: String) -> String {
    switch field {
    case "learningRate": "train/lr"
    case "seconds", "imagesPerSecond", "secondsWaitedForImages": "time/\(field)"
    case _ where field.hasSuffix("Share"): "time/\(field)"
    default: "train/\(field)"
    }
  }

  // MARK: - Pictures

  /// The images of a batch, as they enter the network.
  func show(_ batch: ImageBatch, step: Int) {
    let count = min(batch.samples.count, 64), columns = min(count, 8), size = batch.height * batch.width * 3
    guard count > 0 else { return }
    attempt { file in
      var mosaic = Mosaic(
        columns: columns, rows: (count + columns - 1) / columns, width: batch.width, height: batch.height, border: 1)
      for place in 0..<count { mosaic.put(batch.pixels[place * size..<(place + 1) * size], at: place) }
      try file.append(step, [try Self.picture("train/batch", mosaic)])
    }
  }

  /// What was evaluated: ranked lists of a few queries, and features for the embedding projector.
  func show(
    _ query: LabelledFeatures, _ gallery: LabelledFeatures, of dataset: ReIDDataset, named name: String, step: Int,
    _ configuration: Configuration, progress: @escaping () -> Void
  ) {
    attempt { file in
      let thumbnails = Thumbnails(dataset, configuration, progress)
      let lists = Ranking.lists(
        of: query.identities.indices.filter { query.identities[$0] >= 0 }.evenly(5), count: 10,
        query: query, gallery: gallery,
        distances: try Distances(query: query, gallery: gallery, metric: configuration.evaluation.metric))
      if let mosaic = thumbnails.ranked(lists, query, gallery) {
        try file.append(step, [try Self.picture("test/\(name)/ranked", mosaic)])
      }
      let points = EvaluationPoints(query, gallery, dataset.names, most: 1000)
      guard !points.images.isEmpty else { return }
      // The images are the same at each evaluation, and read once.
      if sprite?.images != points.images { sprite = try thumbnails.sprite(points.images).map { (points.images, $0) } }
      try ProjectorFolder(folder).write(
        name: "\(name), step \(step)", vectors: points.vectors, points.labels, sprite: sprite?.1)
    }
  }

  private static func picture(_ tag: String, _ mosaic: Mosaic) throws -> EventValue {
    let image = mosaic.image
    return .image(tag, png: try ImageCodec.encodePNG(image, path: tag), width: image.width, height: image.height)
  }
}
