import Tensors
import Testing

@Suite struct PrintableTests {
  @Test func controlCharactersAreWrittenOut() {
    #expect(Printable.line("a\u{1B}[31mred\u{7}") == "a\\u{1b}[31mred\\u{7}")
    #expect(Printable.line("one\r\ntwo\tthree\n") == "one two three ")
    #expect(Printable.line("ß 日本 é 👩‍👩‍👧") == "ß 日本 é 👩‍👩‍👧")
    #expect(Printable.line("\u{9B}2J \u{202E}gpj") == "\\u{9b}2J \\u{202e}gpj")
  }

  @Test func longTextLosesItsMiddle() {
    let line = Printable.line("begin" + String(repeating: "x", count: 100_000_000) + "end")
    #expect(line.count < 1000 && line.hasPrefix("begin") && line.hasSuffix("end") && line.contains(" … "))
    let exact = String(repeating: "y", count: 1000)
    #expect(Printable.line(exact) == exact)
  }
}
