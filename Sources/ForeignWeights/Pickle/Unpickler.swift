import Tensors

/// Reads pickles of protocols 0 to 5 into a graph of plain values. It executes nothing: a global is a name, and what a
/// name that is not known is called with stays beside it.
///
/// https://github.com/python/cpython/blob/main/Lib/pickletools.py says what the instructions are.
struct Unpickler {
  var input: ByteReader
  private(set) var graph: PickleGraph
  private var stack: [Int] = []
  /// Where the marks stand in the stack.
  private var marks: [Int] = []
  private var memo: [UInt64: Int] = [:]

  private static let deepestStack = 1 << 20
  /// Texts beyond are no names of tensors.
  private static let longestText = 4096, longestNumber = 64, longestGlobal = 256

  /// - Parameter input: at the beginning of a pickle.
  init(_ input: ByteReader) {
    self.input = input
    graph = PickleGraph(path: input.path)
  }

  /// Reads one pickle to its end.
  /// - Returns: its value.
  mutating func load() throws -> Int {
    while true {
      let opcode = try input.byte()
      if opcode == UInt8(ascii: ".") { return try pop() }
      try execute(Unicode.Scalar(opcode))
    }
  }

  private mutating func execute(_ opcode: Unicode.Scalar) throws {
    switch opcode {
    case "\u{80}": guard try input.byte() <= 5 else { throw damaged("of a protocol after 5") }
    case "\u{95}": try input.skip(8)  // how long a frame is
    case "(":
      guard marks.count < Self.deepestStack else { throw damaged("more than \(Self.deepestStack) marks") }
      marks.append(stack.count)
    case "0": if let mark = marks.last, mark == stack.count { marks.removeLast() } else { _ = try pop() }
    case "1": _ = try popMark()
    case "2": try push(top())

    case "N": try push(PickleGraph.none)
    case "\u{88}": try push(PickleGraph.yes)
    case "\u{89}": try push(PickleGraph.no)
    case "K": try pushInteger(1)
    case "M": try pushInteger(2)
    case "J": try push(.integer(Int(Int32(truncatingIfNeeded: try input.number(4)))))
    case "\u{8a}": try pushLong(try input.number(1))
    case "\u{8b}": try pushLong(try input.number(4))
    case "I", "L": try pushDecimal(try input.line(limit: Self.longestText))
    case "F": try pushReal(try input.line(limit: Self.longestNumber))
    case "G": try push(.number(Double(bitPattern: try input.number(8).byteSwapped)))

    case "S": try pushQuoted(try input.line(limit: Self.longestText))
    case "V": try pushText(try input.line(limit: Self.longestText))
    case "U", "\u{8c}": try pushText(try input.number(1))
    case "T", "X": try pushText(try input.number(4))
    case "\u{8d}": try pushText(try input.number(8))
    case "C": try pushBytes(try input.number(1))
    case "B": try pushBytes(try input.number(4))
    case "\u{8e}", "\u{96}": try pushBytes(try input.number(8))
    case "\u{97}": try push(.long("bytes outside of the pickle"))
    case "\u{98}": _ = try top()

    case ")": try push(.tuple([]))
    case "t": try push(.tuple(try popMark()))
    case "\u{85}": try pushTuple(1)
    case "\u{86}": try pushTuple(2)
    case "\u{87}": try pushTuple(3)
    case "]": try push(.list([]))
    case "l": try push(.list(try popMark()))
    case "}": try push(.dictionary([]))
    case "d": try push(.dictionary(try pairs(try popMark())))
    case "\u{8f}": try push(.opaque("a set", []))
    case "\u{91}": try push(.opaque("a set", try popMark()))
    case "a": try extend([try pop()], pairs: false)
    case "e", "\u{90}": try extend(try popMark(), pairs: false)
    case "s":
      let value = try pop(), key = try pop()
      try extend([key, value], pairs: true)
    case "u": try extend(try pairs(try popMark()), pairs: true)

    case "c":
      let module = try input.line(limit: Self.longestGlobal), name = try input.line(limit: Self.longestGlobal)
      try push(.global(String(decoding: module + [UInt8(ascii: ".")] + name, as: UTF8.self)))
    case "\u{93}": try pushGlobal()
    case "R", "\u{81}":
      let arguments = try pop(), callable = try pop()
      try push(try graph.call(callable, arguments))
    case "\u{92}":
      let named = try pop(), arguments = try pop(), callable = try pop()
      try push(.opaque(graph.name(of: callable), [arguments, named]))
    case "i":
      let module = try input.line(limit: Self.longestGlobal), name = try input.line(limit: Self.longestGlobal)
      let arguments = try graph.add(.tuple(try popMark()))
      let callable = try graph.add(.global(String(decoding: module + [UInt8(ascii: ".")] + name, as: UTF8.self)))
      try push(try graph.call(callable, arguments))
    case "o":
      let parts = try popMark()
      guard let callable = parts.first else { throw damaged("an object of nothing") }
      try push(try graph.call(callable, try graph.add(.tuple(Array(parts.dropFirst())))))
    case "b":
      let state = try pop()
      // The state of what is known is not of use: of an OrderedDict, or a tensor, attributes that were given to it.
      if case .opaque = graph.values[try top()] { try extend([state], pairs: false) }
    case "\u{82}", "\u{83}", "\u{84}":
      _ = try input.number(opcode == "\u{82}" ? 1 : opcode == "\u{83}" ? 2 : 4)
      try push(.opaque("an extension", []))
    case "P":
      _ = try input.line(limit: Self.longestText)
      try push(.opaque("a persistent value", []))
    case "Q": try push(try graph.persistent(try pop()))

    case "p": try put(try memoIndex(try input.line(limit: Self.longestNumber)))
    case "q": try put(try input.number(1))
    case "r": try put(try input.number(4))
    case "\u{94}": try put(UInt64(memo.count))
    case "g": try get(try memoIndex(try input.line(limit: Self.longestNumber)))
    case "h": try get(try input.number(1))
    case "j": try get(try input.number(4))
    default: throw damaged("byte \(opcode.value) where an instruction was expected")
    }
  }

  private func damaged(_ what: String) -> Failure { .data(input.path, "its pickle is damaged: \(what)") }

  // MARK: - The stack

  private mutating func push(_ value: Int) throws {
    guard stack.count < Self.deepestStack else { throw damaged("a stack of more than \(Self.deepestStack) values") }
    stack.append(value)
  }

  private mutating func push(_ value: PickleValue) throws { try push(try graph.add(value)) }

  /// Nothing is taken from below a mark.
  private func top() throws -> Int {
    guard let value = stack.last, stack.count > marks.last ?? 0 else { throw damaged("a value is missing") }
    return value
  }

  private mutating func pop() throws -> Int {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func popMark() throws -> [Int] {
    guard let mark = marks.popLast() else { throw damaged("a mark is missing") }
    // A copy, so that the stack shrinks in place.
    let values = Array(stack[mark...])
    stack.removeLast(stack.count - mark)
    return values
  }

  private func pairs(_ items: [Int]) throws -> [Int] {
    guard items.count % 2 == 0 else { throw damaged("a key without a value") }
    return items
  }

  private mutating func extend(_ items: [Int], pairs: Bool) throws {
    guard try graph.extend(try top(), items, pairs: pairs) else { throw damaged("items of what holds none") }
  }

  private mutating func put(_ index: UInt64) throws {
    try graph.count(1)
    memo[index] = try top()
  }

  private mutating func get(_ index: UInt64) throws {
    guard let value = memo[index] else { throw damaged("nothing was kept as number \(index)") }
    try push(value)
  }

  private func memoIndex(_ line: [UInt8]) throws -> UInt64 {
    guard let index = UInt64(String(decoding: line, as: UTF8.self)) else { throw damaged("a number of what was kept") }
    return index
  }

  // MARK: - Values

  private mutating func pushTuple(_ count: Int) throws {
    var items: [Int] = []
    for _ in 0..<count { items.append(try pop()) }
    try push(.tuple(items.reversed()))
  }

  private mutating func pushInteger(_ bytes: Int) throws { try push(.integer(Int(try input.number(bytes)))) }

  /// Two's complement.
  private mutating func pushLong(_ bytes: UInt64) throws {
    guard bytes <= 8 else {
      try input.skip(bytes)
      return try push(.long("a number of more than 64 bits"))
    }
    let unused = UInt64(64 - 8 * bytes), number = try input.number(Int(bytes))
    try push(.integer(bytes == 0 ? 0 : Int(Int64(bitPattern: number << unused) >> Int64(unused))))
  }

  private mutating func pushDecimal(_ line: [UInt8]) throws {
    var text = String(decoding: line, as: UTF8.self)
    if text == "00" || text == "01" { return try push(text == "01" ? PickleGraph.yes : PickleGraph.no) }
    if text.hasSuffix("L") { text.removeLast() }
    try push(Int(text).map(PickleValue.integer) ?? .long("a number of more than 64 bits"))
  }

  private mutating func pushReal(_ line: [UInt8]) throws {
    guard let number = Double(String(decoding: line, as: UTF8.self)) else { throw damaged("a number") }
    try push(.number(number))
  }

  private mutating func pushText(_ bytes: [UInt8]) throws { try push(.text(String(decoding: bytes, as: UTF8.self))) }

  private mutating func pushText(_ count: UInt64) throws {
    guard count <= Self.longestText else {
      try input.skip(count)
      return try push(.long("a long text"))
    }
    try pushText(try input.take(Int(count)))
  }

  /// Python's own quotes; what is escaped stays so.
  private mutating func pushQuoted(_ line: [UInt8]) throws {
    guard line.count >= 2, line.first == line.last else { throw damaged("a text without its quotes") }
    try pushText(Array(line.dropFirst().dropLast()))
  }

  private mutating func pushBytes(_ count: UInt64) throws {
    try input.skip(count)
    try push(.long("bytes"))
  }

  private mutating func pushGlobal() throws {
    let name = try pop(), module = try pop()
    guard case .text(let name) = graph.values[name], case .text(let module) = graph.values[module],
      name.utf8.count <= Self.longestGlobal, module.utf8.count <= Self.longestGlobal
    else { throw damaged("a global without a name") }
    try push(.global("\(module).\(name)"))
  }
}
