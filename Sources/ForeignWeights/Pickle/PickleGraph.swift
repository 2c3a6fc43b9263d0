import Tensors

/// A value of a pickle. Those inside it are numbers of others of the same graph: however deep they are nested, and where
/// one holds itself, nothing here goes deeper than one.
enum PickleValue {
  case none, bool(Bool), integer(Int), number(Double), text(String)
  /// Bytes, a text or a number that is too long to be of use; what it is.
  case long(String)
  case tuple([Int]), list([Int])
  /// A key, its value, a key, ….
  case dictionary([Int])
  /// A class or a function, by module and name.
  case global(String)
  case storage(Int), tensor(Int)
  /// What would be a tensor, and why it is none.
  case brokenTensor(String)
  /// What a global that is not known would make, or a set: what was given to it.
  case opaque(String, [Int])
}

/// A storage that a pickle names.
struct PickledStorage {
  /// nil where its elements are of a kind that is not read.
  let type: ElementType?
  /// `torch.FloatStorage`.
  let typeName: String
  let key: String
  /// Elements.
  let count: Int
  /// The part of a storage that this one sees, in elements; files before PyTorch 1.0 have such.
  let view: (first: Int, count: Int)?
}

/// A tensor that a pickle makes of a storage; nothing of it has been compared with the storage yet.
struct PickledTensor {
  /// Number of a storage.
  let storage: Int
  let first: Int, shape: [Int], strides: [Int]
}

/// All values of a pickle, in the order in which they began.
struct PickleGraph {
  /// Memory for values and what lists, tuples and dictionaries hold of them is bounded by these, whatever a file says.
  static let mostValues = 1 << 20, mostItems = 1 << 21, mostTensors = 1 << 16

  let path: String
  private(set) var values: [PickleValue] = [.none, .bool(false), .bool(true)]
  private(set) var storages: [PickledStorage] = []
  private(set) var tensors: [PickledTensor] = []
  private var items = 0

  static let none = 0, no = 1, yes = 2
  /// Dimensions of a tensor.
  private static let highestRank = 16

  init(path: String) { self.path = path }

  mutating func add(_ value: PickleValue) throws -> Int {
    guard values.count < Self.mostValues else {
      throw Failure.data(path, "its pickle has more than \(Self.mostValues) values; save its weights alone")
    }
    switch value {
    case .tuple(let parts), .list(let parts), .dictionary(let parts), .opaque(_, let parts): try count(parts.count)
    default: break
    }
    values.append(value)
    return values.count - 1
  }

  mutating func add(_ storage: PickledStorage) throws -> Int {
    guard storages.count < Self.mostTensors else {
      throw Failure.data(path, "its pickle names storages more than \(Self.mostTensors) times")
    }
    storages.append(storage)
    return try add(.storage(storages.count - 1))
  }

  mutating func add(_ tensor: PickledTensor) throws -> Int {
    guard tensors.count < Self.mostTensors else {
      throw Failure.data(path, "its pickle makes more than \(Self.mostTensors) tensors")
    }
    tensors.append(tensor)
    return try add(.tensor(tensors.count - 1))
  }

  /// What may be held more than once is counted each time.
  mutating func count(_ more: Int) throws {
    items += more
    guard items <= Self.mostItems else {
      throw Failure.data(path, "its pickle has more than \(Self.mostItems) items in lists, or kept for later")
    }
  }

  /// Adds to what a list, dictionary or opaque value holds.
  /// - Parameter pairs: keys and values.
  /// - Returns: false where it holds nothing of that kind.
  mutating func extend(_ value: Int, _ more: [Int], pairs: Bool) throws -> Bool {
    try count(more.count)
    var items: [Int], name: String?
    switch values[value] {
    case .list(let held) where !pairs: items = held
    case .dictionary(let held) where pairs: items = held
    case .opaque(let called, let held): (items, name) = (held, called)
    default: return false
    }
    // Held once only, it grows in place.
    values[value] = .none
    items.append(contentsOf: more)
    values[value] = name.map { .opaque($0, items) } ?? (pairs ? .dictionary(items) : .list(items))
    return true
  }

  /// Each a number from 0 on; nil where the value is no tuple of such.
  func sizes(_ value: Int) -> [Int]? {
    guard case .tuple(let items) = values[value], items.count <= Self.highestRank else { return nil }
    var sizes: [Int] = []
    for item in items {
      guard case .integer(let size) = values[item], size >= 0 else { return nil }
      sizes.append(size)
    }
    return sizes
  }

  /// What it is, for a table.
  func description(_ value: Int) -> String {
    switch values[value] {
    case .none: "None"
    case .bool(let flag): flag ? "True" : "False"
    case .integer(let number): "the number \(number)"
    case .number(let number): "the number \(number)"
    case .text: "a text"
    case .long(let what): what
    case .tuple(let items): "a tuple of \(items.count)"
    case .list(let items): "a list of \(items.count)"
    case .dictionary(let items): "a dictionary of \(items.count / 2)"
    case .global(let name): "the name \(name)"
    case .storage: "a storage without a tensor"
    case .tensor, .brokenTensor: "a tensor"
    case .opaque(let name, _): "\(name), which is not made"
    }
  }
}
