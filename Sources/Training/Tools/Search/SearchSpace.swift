import Foundation
import Tensors
import Yams

/// What a search varies, and for how long: a YAML file.
///
///     stages: 4
///     keys:
///       optimizer.learningRate: {from: 1.0e-5, to: 1.0e-3, scale: log}
///       sampling.images: {from: 2, to: 8}
package struct SearchSpace: Options {
  package var stages = 4
  package var trials = 10
  package var initial = 4
  package var steps = 300
  package var heldOut = 0.2
  package var keys: [String: SearchRange] = [:]

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .integer("stages", \.stages, 1...100, "Stages one after the other."),
      .integer("trials", \.trials, 1...1000, "Trials of each stage."),
      .integer("initial", \.initial, 1...1000, "Of them, those that are spread out before the Gaussian process."),
      .integer("steps", \.steps, 1...1_000_000_000, "Training steps of a trial."),
      .number("heldOut", \.heldOut, 0.01...0.9, "The share of the training identities that trials are judged on."),
      .value(
        "keys", \.keys, type: "section", "of 1 to 16 dotted keys of the configuration, each {from, to, scale}",
        "What is varied.", allows: { $0.count <= 16 }),
    ]
  }

  /// - Throws: `Failure.usage`, one line that names file and key.
  package static func read(_ file: String) throws -> SearchSpace {
    let node = try ConfigurationText.read(file), source = Printable.line(file)
    if let number = base60(node) {
      throw Failure.usage(source, "\(Printable.line(number, limit: 80)): expected a number without a colon")
    }
    let space: SearchSpace
    do {
      space = try YAMLDecoder().decode(SearchSpace.self, from: node)
    } catch let error as DecodingError {
      throw Failure.usage(source, explanation(error))
    }
    if space.keys.isEmpty { throw Failure.usage(source, "keys: nothing to vary; expected 1 to 16 keys") }
    for (key, range) in space.keys.sorted(by: { $0.key < $1.key }) {
      guard let problem = SearchDimension.problem(key, range) else { continue }
      throw Failure.usage(source, "keys.\(Printable.line(key, limit: 80)): \(problem)")
    }
    return space
  }

  /// In the order of the keys' names.
  package var dimensions: [SearchDimension] {
    keys.sorted { $0.key < $1.key }.map { SearchDimension($0.key, $0.value) }
  }

  /// A scalar such as 1:30, whose arithmetic in YAML 1.1 overflows in the decoder.
  private static func base60(_ node: Node) -> String? {
    switch node {
    case .scalar(let scalar): scalar.style == .plain && scalar.string.contains(":") ? scalar.string : nil
    case .sequence(let items): items.lazy.compactMap(base60).first
    case .mapping(let pairs): pairs.lazy.compactMap { base60($0.value) }.first
    case .alias: nil
    }
  }

  private static func explanation(_ error: DecodingError) -> String {
    let context: DecodingError.Context
    switch error {
    case .dataCorrupted(let found), .typeMismatch(_, let found), .valueNotFound(_, let found),
      .keyNotFound(_, let found):
      context = found
    @unknown default: return Printable.line("\(error)", limit: 200)
    }
    let path = context.codingPath.map(\.stringValue).joined(separator: ".")
    let expected = Printable.line(context.debugDescription, limit: 300)
    return path.isEmpty ? "expected \(expected)" : "\(Printable.line(path, limit: 120)): expected \(expected)"
  }
}

/// Between which numbers a key is varied.
package struct SearchRange: Options {
  package enum Scale: String, CaseIterable, Sendable { case linear, log }

  /// Not a number where it is not said.
  package var from = Double.nan
  package var to = Double.nan
  package var scale = Scale.linear

  package init() {}

  package static var fields: [OptionField<Self>] {
    [
      .value("from", \.from, type: "number", bounds, "The smallest value.", allows: isPossible),
      .value("to", \.to, type: "number", bounds, "The largest.", allows: isPossible),
      .word("scale", \.scale, "In which numbers are equally far apart: themselves, or their logarithms."),
    ]
  }

  private static var bounds: String { "from -1000000000 to 1000000000" }
  @Sendable private static func isPossible(_ value: Double) -> Bool { value.isNaN || abs(value) <= 1e9 }
}
