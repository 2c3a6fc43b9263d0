import Tensors

/// Finds every tensor that a pickle's value holds, with the keys that lead to it, and what holds none.
///
/// Each list, dictionary and object is gone through once, so that what is held often takes no longer.
struct PickledTensors {
  private enum Mark { case new, open, without, with }

  private let graph: PickleGraph
  private var marks: [Mark]
  /// How many objects that are not made are open.
  private var objects = 0
  private(set) var tensors: [(name: String, tensor: PickledTensor)] = []
  private(set) var others: [(name: String, what: String)] = []

  private static let deepest = 64, longestName = 1024, mostTensors = 1 << 16

  /// - Throws: `Failure.data` for what is nested too deep, holds itself, or is a tensor that cannot be made.
  init(_ graph: PickleGraph, of root: Int) throws {
    self.graph = graph
    marks = [Mark](repeating: .new, count: graph.values.count)
    if try !visit(root, "", 0) { try note("its value", graph.description(root)) }
  }

  private func wrong(_ name: String, _ what: String) -> Failure {
    .data(graph.path, "\(name.isEmpty ? "its value" : name) \(what)")
  }

  /// - Returns: whether there is a tensor in it.
  private mutating func visit(_ value: Int, _ name: String, _ depth: Int) throws -> Bool {
    let (items, step): ([Int], Int)
    switch graph.values[value] {
    case .tensor(let tensor): return try add(graph.tensors[tensor], name)
    case .brokenTensor(let why): throw Failure.data(graph.path, "tensor \(name) \(why)")
    case .dictionary(let pairs): (items, step) = (pairs, 2)
    case .tuple(let all), .list(let all): (items, step) = (all, 1)
    case .opaque(_, let parts): (items, step) = (parts, 1)
    default: return false
    }
    let isObject = if case .opaque = graph.values[value] { true } else { false }
    switch marks[value] {
    case .with:
      try note(name, "what stands under another name too")
      return true
    case .without: return false
    case .open:
      // An object may well know who holds it.
      guard objects == 0 else { return false }
      throw wrong(name, "holds itself")
    case .new: break
    }
    guard depth < Self.deepest else {
      if objects > 0 { return false }
      throw wrong(name, "is nested more than \(Self.deepest) deep")
    }
    marks[value] = .open
    if isObject { objects += 1 }
    let found =
      step == 2
      ? try visitPairs(items, name, depth, isState: false) : try visitItems(items, name, depth, isObject: isObject)
    if isObject { objects -= 1 }
    marks[value] = found ? .with : .without
    return found
  }

  private mutating func visitPairs(_ items: [Int], _ name: String, _ depth: Int, isState: Bool) throws -> Bool {
    let keys = stride(from: 0, to: items.count, by: 2).map { key(items[$0], $0) }
    // As in Python, the last one of a key counts.
    let last = Dictionary(keys.enumerated().map { ($1, $0) }, uniquingKeysWith: { $1 })
    var found = false
    for (index, key) in keys.enumerated() where last[key] == index {
      let value = items[2 * index + 1], name = try joined(name, key, isState: isState)
      if try visit(value, name, depth + 1) {
        found = true
      } else if depth == 0 {
        try note(name, graph.description(value))
      }
    }
    return found
  }

  private mutating func visitItems(_ items: [Int], _ name: String, _ depth: Int, isObject: Bool) throws -> Bool {
    var found = false
    for (index, item) in items.enumerated() {
      // The state of a module of PyTorch: its attributes.
      if isObject, case .dictionary(let pairs) = graph.values[item], marks[item] == .new {
        marks[item] = .open
        let isFound = try visitPairs(pairs, name, depth + 1, isState: true)
        marks[item] = isFound ? .with : .without
        found = isFound || found
      } else if try visit(item, joined(name, "\(index)", isState: false), depth + 1) {
        found = true
      }
    }
    return found
  }

  private func key(_ value: Int, _ place: Int) -> String {
    switch graph.values[value] {
    case .text(let text): text
    case .integer(let number): "\(number)"
    default: "item \(place / 2)"
    }
  }

  /// Where a module of PyTorch keeps its parts is not in the names of its tensors.
  private func joined(_ name: String, _ key: String, isState: Bool) throws -> String {
    if isState, ["_parameters", "_buffers", "_modules"].contains(key) { return name }
    let joined = name.isEmpty ? key : "\(name).\(key)"
    guard joined.utf8.count <= Self.longestName else {
      throw Failure.data(graph.path, "\(joined) is a name of more than \(Self.longestName) bytes")
    }
    return joined
  }

  private mutating func note(_ name: String, _ what: String) throws {
    guard others.count < Self.mostTensors else {
      throw Failure.data(graph.path, "holds more than \(Self.mostTensors) values that are no tensors")
    }
    others.append((name, what))
  }

  private mutating func add(_ tensor: PickledTensor, _ name: String) throws -> Bool {
    guard tensors.count < Self.mostTensors else {
      throw Failure.data(graph.path, "holds more than \(Self.mostTensors) tensors")
    }
    tensors.append((name, tensor))
    return true
  }
}
