import Collectives
import Dataset
import Evaluation
import Network
import Tensors
import TestSupport
import Testing
import Training

/// `evaluation.parts`: queries are looked for among pictures cut to what they show.
@Suite struct PartSearchTests {
  private let folder: TemporaryFolder
  private let dataset: ReIDDataset
  private static let heads =
    "model.heads=[{name: person, sources: [stage4]}, {name: part, sources: [stage4], label: part, losses: [crossEntropy], retrieve: false}]"
  private static let settings = [
    "model.trunk=resnet18", "model.head=baseline", "data.parts=0.5", "evaluation.batch=5", "evaluation.metric=cosine",
    heads,
  ]
  /// What remains of 128 rows, counted here.
  private static let rows: [Range<Int>] = [0..<128, 0..<96, 0..<64, 0..<42, 32..<128, 64..<128, 86..<128]

  init() throws {
    folder = try TemporaryFolder()
    var synthesizer = Synthesizer(identities: 10, images: 2, cameras: 3)
    synthesizer.partial = 0.6
    dataset = try synthesizer.write(to: folder.path + "/data")
  }

  /// - Parameter change: of the biases of the head that tells parts.
  private static func scores(
    _ dataset: ReIDDataset, parts: Bool, _ communicator: any Communicator = SoloCommunicator(),
    change: (inout [Float]) -> Void = { _ in }
  ) throws -> Scores {
    let training = try TinyTraining(
      Float.self, settings + (parts ? ["evaluation.parts=true"] : []), communicator)
    let step = training.step, slot = step.network.layout.slots.first { $0.name == "heads.part.classifier.bias" }!
    var biases = slot.range.map { step.parameters.values[$0] }
    change(&biases)
    for (index, bias) in zip(slot.range, biases) { step.parameters.values[index] = bias }
    return try Evaluator.run(
      dataset, step.network, step.parameters, training.configuration, training.context
    ).scores
  }

  private func forcing(_ part: Int) -> (inout [Float]) -> Void { { $0[part] = 1000 } }

  /// The same data set with its gallery cut, and of these queries.
  private func cut(_ part: Int, queries: [Int]? = nil) throws -> ReIDDataset {
    let gallery = try dataset.gallery.enumerated().map { index, sample in
      var image = try ImageCodec.decode(path: sample.path)
      let rows = Self.rows[part], stride = image.width * 3
      image = RGBImage(
        width: image.width, height: rows.count,
        pixels: Array(image.pixels[rows.lowerBound * stride..<rows.upperBound * stride]))
      let path = "\(folder.path)/\(part)-\(index).png"
      try ImageCodec.writePNG(image, path: path)
      return Sample(path: path, identity: sample.identity, camera: sample.camera)
    }
    return ReIDDataset(
      name: "cut", root: folder.path, train: [], query: queries.map { $0.map { dataset.query[$0] } } ?? dataset.query,
      gallery: gallery)
  }

  @Test func ofWholePersonsItIsTheRanking() throws {
    let found = try Self.scores(dataset, parts: true, change: forcing(0))
    #expect(found[.parts] == found.plain)
    #expect(try found.plain == Self.scores(dataset, parts: false).plain)
  }

  @Test(arguments: 1..<7) func isTheRankingOfAGalleryThatWasCut(_ part: Int) throws {
    let found = try Self.scores(dataset, parts: true, change: forcing(part))
    let expected = try Self.scores(cut(part), parts: false)
    #expect(found[.parts] == expected.plain)
    #expect(found[.parts] != found.plain)
  }

  /// Each query in the gallery of its own part, whatever the ranks.
  @Test func everyQueryHasAGalleryOfItsOwn() throws {
    let biases = try balanced()
    let found = try Self.scores(dataset, parts: true) { $0 = biases }
    let parts = try self.parts(biases)
    #expect(Set(parts).count > 2)
    var precisions = 0.0, firsts = 0.0
    for part in Set(parts) {
      let rows = parts.indices.filter { parts[$0] == part }
      let result = try Self.scores(cut(part, queries: rows), parts: false).plain
      precisions += result.mAP * Double(rows.count)
      firsts += result.rank1 * Double(rows.count)
    }
    let result = try #require(found[.parts])
    #expect(result.queries == parts.count)
    #expect(abs(result.mAP - precisions / Double(parts.count)) < 1e-12)
    #expect(abs(result.rank1 - firsts / Double(parts.count)) < 1e-12)
    for ranks in [2, 3] {
      let many = try ThreadCommunicator.run(ranks) { [dataset] in
        try Self.scores(dataset, parts: true, $0) { $0 = biases }
      }
      for other in many.compactMap({ $0[.parts] }) {
        #expect(other.cmc == result.cmc && abs(other.mAP - result.mAP) <= 1e-12)
      }
      #expect(many.count == ranks)
    }
  }

  /// The logits of the queries, from the network itself.
  private func logits() throws -> [[Float]] {
    let training = try TinyTraining(Float.self, Self.settings, SoloCommunicator()), step = training.step
    let extractor = FeatureExtractor(
      step.network, step.parameters, training.configuration, classifying: 1, training.context)
    let matrix = try extractor.extract(dataset.query, .logits(head: 1)).features
    #expect(matrix.columns == 7)
    return (0..<matrix.rows).map { Array(matrix.values[$0 * 7..<$0 * 7 + 7]) }
  }

  /// Biases without which a fresh network would take all queries for one part.
  private func balanced() throws -> [Float] {
    let logits = try logits()
    return (0..<7).map { part in -logits.reduce(0) { $0 + $1[part] } / Float(logits.count) }
  }

  private func parts(_ biases: [Float]) throws -> [Int] {
    try logits().map { row in
      let values = zip(row, biases).map { $0 + $1 }
      return values.firstIndex(of: values.max()!)!
    }
  }

  @Test func withoutAHeadOfPartsItIsRefused() {
    let said = message(.usage) {
      _ = try Configuration.resolve(settings: ["evaluation.parts=true"])
    }
    #expect(
      said
        == "evaluation.parts is true; it must be false without a head of label part, without groups, that tells what a query shows"
    )
  }
}
