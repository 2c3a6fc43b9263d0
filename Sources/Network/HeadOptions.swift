import Losses
import Tensors

/// One head as a configuration describes it: an item of `model.heads`.
package struct HeadOptions: Options {
  /// Stands before its loss terms and in the names of its tensors: letters, digits and hyphens.
  package var name = "head"
  /// Maps whose pooled values make the feature, one after the other; none: those of `model.head`.
  package var sources: [MapSource] = []
  package var mask = MaskChoice(.none)
  /// Of `bands` horizontal bands of equal height, from 1 on.
  package var band = 1, bands = 1
  package var pool = PoolKind.average
  package var neck = NeckChoice(.embedding)
  package var classifier = ClassifierChoice(.linear)
  package var label = RowLabels.Column.identity
  /// Of each class of `label`, the group that takes its place; empty: classes themselves.
  package var groups: [Int] = []
  package var losses: [LossChoice] = [LossChoice(.crossEntropy), LossChoice(.triplet)]
  /// Whether the evaluation's embedding has this head's descriptor in it.
  package var retrieve = true

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .value(
        "name", \.name, type: "text", "1 to 32 letters, digits and hyphens",
        "Stands before the names of its loss terms and tensors.", allows: isName),
      .words(
        "sources", \.sources,
        "of stage1 to stage4 (the trunk's outputs), level1 to level4 (the pyramid's) and branch (that of `model.branch`), each once",
        "Maps whose pooled values make the feature; an empty list is that of `model.head`."),
      .value(
        "mask", \.mask, type: "one of \(MaskChoice.words)", nil,
        "What is left out of the maps in training, counted by seed, step and position in the batch."),
      .integer(
        "bands", \.bands, 1...16, "n: how many horizontal bands the maps are cut into, such as parts of a body."),
      .integer("band", \.band, 1...16, "Which of them the head sees, from the top; at most `bands`."),
      .word("pool", \.pool, "From a map to a row of the feature."),
      .value(
        "neck", \.neck, type: "one of \(NeckChoice.words)", nil,
        "From the feature to what losses see and what is retrieved by."),
      .value(
        "classifier", \.classifier, type: "one of \(ClassifierChoice.words)", nil,
        "From there to the logits of the classes."),
      .word("label", \.label, "What the classes are."),
      .value(
        "groups", \.groups, type: "list of integers", "from 0 on, none left out, at most \(mostClasses) of them",
        "The group of every class, in the order of identities (or cameras), which the head tells apart in place of the classes: "
          + "`lineup confusions` writes them (SSAL). An empty list: the classes themselves.", allows: areGroups),
      .value(
        "losses", \.losses, type: "list of loss terms",
        "of 1 to 16 among \(LossKind.allCases.map(\.rawValue).joined(separator: ", "))",
        "The terms of the head's loss, each with its options.", allows: { (1...16).contains($0.count) }),
      .flag("retrieve", \.retrieve, "Whether it is retrieved by; descriptors of several heads are concatenated."),
    ]
  }

  private static var mostClasses: Int { 1_000_000 }

  @Sendable private static func areGroups(_ groups: [Int]) -> Bool {
    groups.count <= mostClasses && Set(groups) == Set(0..<Set(groups).count)
  }

  /// How many the head tells apart among `classes`.
  package func count(of classes: Int) -> Int { groups.isEmpty ? classes : groups.reduce(0) { max($0, $1 + 1) } }

  @Sendable package static func isName(_ name: String) -> Bool {
    (1...32).contains(name.utf8.count) && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
  }
}

/// The pools there are.
package enum PoolKind: String, CaseIterable, Sendable { case average, max, gem, attention }

/// The necks there are.
package enum NeckChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable { case embedding, bnneck, prelu }

  case embedding(EmbeddingOptions), bnneck(BNNeckOptions), prelu(EmbeddingOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .embedding: self = .embedding(try read(EmbeddingOptions.self))
    case .bnneck: self = .bnneck(try read(BNNeckOptions.self))
    case .prelu: self = .prelu(try read(EmbeddingOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .embedding(let options): (.embedding, options)
    case .bnneck(let options): (.bnneck, options)
    case .prelu(let options): (.prelu, options)
    }
  }
}

/// The classifiers there are.
package enum ClassifierChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable { case linear, cosine }

  case linear(LinearOptions), cosine(NoOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .linear: self = .linear(try read(LinearOptions.self))
    case .cosine: self = .cosine(try read(NoOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .linear(let options): (.linear, options)
    case .cosine(let options): (.cosine, options)
    }
  }
}
