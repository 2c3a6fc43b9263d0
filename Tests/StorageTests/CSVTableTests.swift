import Foundation
import Storage
import Tensors
import TestSupport
import Testing

@Suite struct CSVTableTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func table(_ text: String) throws -> CSVTable { try CSVTable(path: folder.file("t.csv", text)) }

  private func rows(_ table: CSVTable) throws -> [[String]] {
    try (0..<table.count).map { row in try table.header.indices.map { try table.text(row, $0) } }
  }

  /// As spreadsheets save "Unicode text".
  @Test(arguments: [String.Encoding.utf16LittleEndian, .utf16BigEndian]) func utf16IsNamed(_ encoding: String.Encoding)
    throws
  {
    let path = try folder.file("wide.csv", "")
    try #require("\u{FEFF}path,identity\n".data(using: encoding)).write(to: URL(fileURLWithPath: path))
    #expect(message(.data) { _ = try CSVTable(path: path) }?.hasPrefix("\(path): UTF-16 text; expected UTF-8") == true)
  }

  @Test(arguments: [
    "a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "\u{FEFF}a,b\r\n1,2\r\n\r\n3,4\r\n",
    "\"a\",\"b\"\n\"1\",\"2\"\n\n\n\"3\",\"4\"",
    "\n a\u{A0},\u{FEFF}b\n1,2\n3,4\r",
  ])
  func fieldsAreReadAsTheyAreWritten(text: String) throws {
    let table = try table(text)
    #expect(table.header == ["a", "b"] && table.count == 2)
    #expect(try rows(table) == [["1", "2"], ["3", "4"]])
    #expect(try table.column("b") == 1)
  }

  @Test(arguments: [
    "", " kept ", "a,b", "say \"no\"", "two\nlines", "two\r\nlines", "\"", "\"\"", ",", "ü 走 \u{1F600}", "\r",
  ])
  func anyFieldComesBack(field: String) throws {
    let written = "x,y,z\n" + [field, "-", field].map(CSVTable.field).joined(separator: ",") + "\n"
    #expect(try rows(table(written)) == [[field, "-", field]])
  }

  @Test(arguments: [
    ("", ": empty; expected a header line"), ("\n\r\n", ": empty; expected a header line"),
    ("a,b\n1,2\n\n3\n", ":4: 1 fields, expected 2 as in the header"),
    ("a,b\n\"1\n\",2\n3,4,5\n", ":4: 3 fields, expected 2 as in the header"),
    ("a,b\n\"1\n2\",\"3,4\n", ":3: a quote that is never closed"),
    ("a,b\n\"1\"2,3\n", ":2: text after a closing quote"),
  ])
  func damageIsNamedWithItsLine(text: String, reason: String) throws {
    let path = try folder.file("t.csv", text)
    #expect(message(.data) { _ = try CSVTable(path: path) } == path + reason)
  }

  @Test func columnsThatAreMissingOrDoubleAreNamed() throws {
    let path = try folder.file("t.csv", "a;b;c,a,a\n1,2,3\n")
    let table = try CSVTable(path: path)
    #expect(message(.data) { _ = try table.column("b") } == "\(path): no column \"b\"; the header is \"a;b;c,a,a\"")
    #expect(
      message(.data) { _ = try table.column("a") } == "\(path): the column \"a\" 2 times; the header is \"a;b;c,a,a\"")
    let wide = try folder.file("wide.csv", String(repeating: ",", count: 1 << 20))
    #expect(message(.data) { _ = try CSVTable(path: wide) } == "\(wide):1: more than 1000 columns")
    try Data([0x61, 0x0A, 0xFF, 0x0A]).write(to: URL(fileURLWithPath: path))
    #expect(message(.data) { _ = try CSVTable(path: path).text(0, 0) } == "\(path):2: a is not UTF-8 text")
  }

  @Test(.timeLimit(.minutes(1))) func whatIsNoFileIsRefused() throws {
    let pipe = try folder.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    for path in [pipe, "/dev/zero"] {
      #expect(message(.data) { _ = try CSVTable(path: path) } == "\(path): not a regular file")
      #expect(message(.data) { _ = try SafetensorsFile(path: path) } == "\(path): not a regular file")
    }
    #expect(mkfifo(try folder.file("manifest.json"), 0o600) == 0)
    #expect(message(.data) { try Manifest.verify(folder.path) } == "\(folder.path)/manifest.json: not a regular file")
  }

  /// A field of 100 MB is neither quoted in the error nor copied, wherever it stands.
  @Test(.timeLimit(.minutes(1))) func aHugeFieldTakesNoMoreThanItsFile() throws {
    let size = 100_000_000, path = try folder.file("huge.csv", "")
    func write(_ before: String, _ after: String) throws {
      try (Data(before.utf8) + Data(repeating: UInt8(ascii: "7"), count: size) + Data(after.utf8)).write(
        to: URL(fileURLWithPath: path))
    }
    try write("path,identity\na.jpg,\"", "\"\n")
    let before = peakBytes
    let long = "\"\(String(repeating: "7", count: 40)) …\", 100000000 bytes long; expected 4096 at most"
    #expect(message(.data) { _ = try CSVTable(path: path).labels("identity") } == "\(path):2: identity is \(long)")
    #expect(peakBytes - before < size * 3 / 2)
    try write("", ",identity\na.jpg,7\n")
    #expect(message(.data) { _ = try CSVTable(path: path) } == "\(path):1: the header is \(long)")
    try write("path,identity\na.jpg,7\n", "")
    #expect(message(.data) { _ = try CSVTable(path: path) } == "\(path):3: 1 fields, expected 2 as in the header")
  }

  /// The most memory that this process has had.
  private var peakBytes: Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 << 10 } ?? 0
  }
}

@Suite struct CSVLabelsTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func table(_ values: [String]) throws -> CSVTable {
    try CSVTable(path: folder.file("t.csv", "id,x\n" + values.map { CSVTable.field($0) + ",\n" }.joined()))
  }

  @Test func anIntegerIsOneHoweverItIsWritten() throws {
    let sevens = ["7", "0007", "+7", " 7", "7\t", "\u{A0}7\u{202F}", "\u{FEFF}7", "7\u{200B}", "7.0", "7.", "7\n"]
    #expect(try table(sevens).integers("id") == sevens.map { _ in 7 })
    #expect(try table(sevens).labels("id").values == sevens.map { _ in 7 })
    let others = ["-1", "\u{2212}1", "-0", "9223372036854775807", "-9223372036854775808", "0", "3000000000"]
    #expect(try table(others).integers("id") == [-1, -1, 0, .max, .min, 0, 3_000_000_000])
  }

  /// Space around a name makes no other name, and junk stays junk.
  @Test func namesAreNumberedInTheirOrder() throws {
    let values = ["zoe", "1", " zoe", "\u{2212}1", "0001", "anna", "-1", "+1", "\u{A0}anna\u{FEFF}", "10", "2"]
    #expect(try table(values).labels("id").values == [5, 1, 5, -1, 1, 4, -1, 1, 4, 2, 3])
    // In whatever order they come.
    #expect(try table(values.reversed()).labels("id").values == [5, 1, 5, -1, 1, 4, -1, 1, 4, 2, 3].reversed())
    #expect(try table(["1.5", "٣", "1 2", "0x1", "-", "--1"]).labels("id").values.allSatisfy { $0 > 0 })
  }

  @Test(arguments: ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "-99999999999999999999999"])
  func integersBeyond64BitsAreErrors(value: String) throws {
    for others in [["1"], ["anna"]] {
      let table = try table(others + [value])
      let expected = "\(table.path):3: id is \"\(value)\", which does not fit 64 bits"
      #expect(message(.data) { _ = try table.labels("id") } == expected)
      if others == ["1"] { #expect(message(.data) { _ = try table.integers("id") } == expected) }
    }
  }

  @Test func whatIsNoIntegerIsQuotedInShort() throws {
    let table = try table(["4", "one\u{1B}[2J" + String(repeating: "!", count: 3000)])
    let text = try #require(message(.data) { _ = try table.integers("id") })
    #expect(text.hasPrefix("\(table.path):3: id is \"one\\u{1b}[2J!") && text.hasSuffix("!\", expected an integer"))
    #expect(text.count < table.path.count + 120)
    let empty = try self.table(["4", " \u{A0}"])
    #expect(message(.data) { _ = try empty.labels("id") } == "\(empty.path):3: id is empty")
  }
}
