import Dataset
import Foundation
import Losses
import Network
import Tensors
import Yams

/// The parts that a configuration chooses in lists, as they say it themselves: heads, necks, classifiers and loss terms.
enum PartReference {
  /// The tables for docs/configuration.md.
  static func markdown() throws -> String {
    var text =
      "## Parts with options\n\nA part is a word, `bnneck`, or a word with options, `{bnneck: {shift: true}}`.\n"
    for kind in TrunkAttention.Kind.allCases where !(TrunkAttention(kind).options is NoOptions) {
      text += try section("Attention", kind.rawValue, TrunkAttention(kind).options)
    }
    for kind in PyramidChoice.Kind.allCases where !(PyramidChoice(kind).options is NoOptions) {
      text += try section("Pyramid", kind.rawValue, PyramidChoice(kind).options)
    }
    for kind in BranchChoice.Kind.allCases where !(BranchChoice(kind).options is NoOptions) {
      text += try section("Branch", kind.rawValue, BranchChoice(kind).options)
    }
    for kind in OptimizerKind.Kind.allCases where !(OptimizerKind(kind).options is NoOptions) {
      text += try section("Optimizer", kind.rawValue, OptimizerKind(kind).options)
    }
    for kind in ScheduleKind.Kind.allCases where !(ScheduleKind(kind).options is NoOptions) {
      text += try section("Schedule", kind.rawValue, ScheduleKind(kind).options)
    }
    for kind in CropChoice.Kind.allCases where !(CropChoice(kind).options is NoOptions) {
      text += try section("Crop", kind.rawValue, CropChoice(kind).options)
    }
    for kind in RandomRotation.Kind.allCases where !(RandomRotation(kind).options is NoOptions) {
      text += try section("Rotation", kind.rawValue, RandomRotation(kind).options)
    }
    for kind in AutoAugment.Kind.allCases where !(AutoAugment(kind).options is NoOptions) {
      text += try section("AutoAugment", kind.rawValue, AutoAugment(kind).options)
    }
    for kind in ColorJitter.Kind.allCases where !(ColorJitter(kind).options is NoOptions) {
      text += try section("Color jitter", kind.rawValue, ColorJitter(kind).options)
    }
    for kind in GridErasing.Kind.allCases where !(GridErasing(kind).options is NoOptions) {
      text += try section("Grid", kind.rawValue, GridErasing(kind).options)
    }
    for kind in SectorDropout.Kind.allCases where !(SectorDropout(kind).options is NoOptions) {
      text += try section("Sectors", kind.rawValue, SectorDropout(kind).options)
    }
    for kind in MixUp.Kind.allCases where !(MixUp(kind).options is NoOptions) {
      text += try section("Mixup", kind.rawValue, MixUp(kind).options)
    }
    text += "\n### Heads: items of `model.heads`\n\n" + (try table(HeadOptions.self))
    for kind in MaskChoice.Kind.allCases where kind != .none {
      text += try section("Mask", kind.rawValue, MaskChoice(kind).options)
    }
    for kind in NeckChoice.Kind.allCases {
      text += try section("Neck", kind.rawValue, NeckChoice(kind).options)
    }
    for kind in ClassifierChoice.Kind.allCases {
      text += try section("Classifier", kind.rawValue, ClassifierChoice(kind).options)
    }
    for kind in LossKind.allCases { text += try section("Loss", kind.rawValue, LossChoice(kind).term) }
    return text
  }

  private static func section(_ part: String, _ name: String, _ options: any Options) throws -> String {
    func rows<T: Options>(_: T) throws -> String {
      T.fields.isEmpty ? "No options.\n" : try table(T.self)
    }
    return "\n### \(part) `\(name)`\n\n" + (try rows(options))
  }

  private static func table<T: Options>(_: T.Type) throws -> String {
    let json = JSONEncoder()
    json.outputFormatting = [.sortedKeys]
    let defaults = try Yams.compose(yaml: String(decoding: json.encode(T()), as: UTF8.self))
    return "| option | type | default | range | meaning |\n|---|---|---|---|---|\n"
      + (try T.fields.map { field in
        let usual = try defaults?[field.name].map { try Yams.serialize(node: flow($0), width: -1) } ?? ""
        return
          "| `\(field.name)` | \(field.type) | `\(usual.trimmingCharacters(in: .whitespacesAndNewlines))` | "
          + "\(field.range ?? "") | \(field.meaning) |\n"
      }.joined())
  }

  private static func flow(_ node: Node) -> Node {
    switch node {
    case .mapping(let pairs): Node(pairs.map { ($0, flow($1)) }, .implicit, .flow)
    case .sequence(let items): Node(items.map(flow), .implicit, .flow)
    case .scalar(let scalar): Node(scalar.string, .implicit, .plain)
    case .alias: node
    }
  }
}
