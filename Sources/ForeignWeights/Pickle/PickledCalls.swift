/// What is made of a call in a pickle: containers and tensors of PyTorch; everything else stays what it is called.
extension PickleGraph {
  /// The name of a global, or a word for what is none.
  func name(of callable: Int) -> String {
    if case .global(let name) = values[callable] { return name }
    return "an object"
  }

  mutating func call(_ callable: Int, _ arguments: Int) throws -> Int {
    let name = name(of: callable)
    guard case .global = values[callable], case .tuple(let items) = values[arguments] else {
      return try add(.opaque(name, [callable, arguments]))
    }
    switch name {
    case "collections.OrderedDict", "builtins.dict", "__builtin__.dict":
      if let dictionary = try dictionary(items) { return dictionary }
    case "collections.defaultdict": return try add(.dictionary([]))
    case "torch.Size": if items.count == 1, case .tuple = values[items[0]] { return items[0] }
    case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2": return try tensor(items)
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
      if let data = items.first { return data }
    case "torch._tensor._rebuild_from_type_v2":
      // Of a class that is derived from Tensor: how its data is made, the class, what it is made from, ….
      if items.count >= 3, case .tuple(let inner) = values[items[2]] {
        let inside = self.name(of: items[0])
        if inside == "torch._utils._rebuild_tensor_v2" { return try tensor(inner) }
        if inside.hasPrefix("torch._utils._rebuild_parameter"), let data = inner.first { return data }
      }
    default: break
    }
    return try add(.opaque(name, items))
  }

  /// Of nothing, or of a list of pairs.
  private mutating func dictionary(_ arguments: [Int]) throws -> Int? {
    var items: [Int] = []
    if let first = arguments.first {
      guard case .list(let pairs) = values[first], arguments.count == 1 else { return nil }
      try count(pairs.count)
      for pair in pairs {
        switch values[pair] {
        case .tuple(let pair) where pair.count == 2, .list(let pair) where pair.count == 2: items += pair
        default: return nil
        }
      }
    }
    return try add(.dictionary(items))
  }

  /// storage, first element, shape, strides, ….
  private mutating func tensor(_ arguments: [Int]) throws -> Int {
    func broken(_ why: String) throws -> Int { try add(.brokenTensor(why)) }
    guard arguments.count >= 4 else { return try broken("is made of \(arguments.count) values, expected 4 or more") }
    guard case .storage(let storage) = values[arguments[0]] else {
      return try broken("is of no storage in this file, but of \(description(arguments[0]))")
    }
    guard case .integer(let first) = values[arguments[1]], first >= 0 else {
      return try broken("begins at no element of its storage")
    }
    guard let shape = sizes(arguments[2]), let strides = sizes(arguments[3]), shape.count == strides.count else {
      return try broken("has no shape and strides")
    }
    return try add(PickledTensor(storage: storage, first: first, shape: shape, strides: strides))
  }

  // MARK: - Storages

  /// ("storage", type, key, device, elements, and in old files what it sees of another: key, first element, elements).
  mutating func persistent(_ identity: Int) throws -> Int {
    guard case .tuple(let parts) = values[identity], parts.count >= 5,
      case .text("storage") = values[parts[0]], case .text(let key) = values[parts[2]],
      case .integer(let count) = values[parts[4]], count >= 0
    else { return try add(.opaque("a persistent value", [identity])) }
    let name = name(of: parts[1])
    var view: (first: Int, count: Int)?
    if parts.count >= 6, case .tuple(let seen) = values[parts[5]] {
      guard seen.count == 3, case .integer(let first) = values[seen[1]], case .integer(let count) = values[seen[2]],
        first >= 0, count >= 0
      else { return try add(.opaque("a view of a storage", [identity])) }
      view = (first, count)
    }
    return try add(
      PickledStorage(type: Self.elementType(name), typeName: name, key: key, count: count, view: view))
  }

  private static func elementType(_ storage: String) -> ElementType? {
    switch storage {
    case "torch.DoubleStorage": .float64
    case "torch.FloatStorage": .float32
    case "torch.HalfStorage": .float16
    case "torch.BFloat16Storage": .bfloat16
    case "torch.LongStorage": .int64
    case "torch.IntStorage": .int32
    case "torch.ShortStorage": .int16
    case "torch.CharStorage": .int8
    case "torch.ByteStorage": .uint8
    case "torch.BoolStorage": .bool
    default: nil
    }
  }
}
