import Storage
import Testing

@Suite struct MetricsLineTests {
  private func line(_ text: String) throws -> MetricsLine { try MetricsLine(Array(text.utf8)[...]) }

  private func reason(_ text: String) -> String? {
    do throws(MetricsLine.Malformed) { _ = try MetricsLine(Array(text.utf8)[...]) } catch { return error.reason }
    return nil
  }

  @Test func fieldsKeepTheirOrderAndDigits() throws {
    let line = try line(
      #" {"step": 12, "loss": 1.50e-3, "a.b": null, "on":true, "off" : false, "host": "n\u00f6 \"1\"\n"} "#)
    #expect(line.fields.map(\.key) == ["step", "loss", "a.b", "on", "off", "host"])
    #expect(line.value("loss") == .number("1.50e-3", 0.0015) && line["loss"] == 0.0015)
    #expect(line.value("a.b") == .null && line.value("on") == .flag(true) && line.value("off") == .flag(false))
    #expect(line.value("host") == .text("nö \"1\"\n") && line["host"] == nil && line.value("none") == nil)
    #expect(line.count("step") == 12 && line.count("loss") == nil && line.isStep)
    #expect(try !self.line(#"{"step": 1, "mAP": 0.5}"#).isStep)
    #expect(try self.line("{}").fields.isEmpty)
    #expect(try self.line(#"{"a": "\ud83d\ude00"}"#).value("a") == .text("😀"))
    #expect(try self.line(#"{"step": -1}"#).count("step") == nil)
    #expect(try self.line(#"{"step": 1e300}"#).count("step") == nil)
    #expect(try self.line(#"{"step": 1.5e1}"#).count("step") == 15)
  }

  @Test(arguments: [
    ("", "ends where { was expected"), ("[]", "has [ where { was expected"), ("{", "ends where \" was expected"),
    ("{\"a\"}", "has } where : was expected"), ("{\"a\":}", "has } where a value was expected"),
    ("{\"a\":1,}", "has } where \" was expected"), ("{\"a\":1", "ends where } was expected"),
    ("{\"a\":1} x", "has x where nothing more was expected"), ("{\"a\":1,\"a\":2}", "has the field a twice"),
    ("{\"a\":01}", "has 0 where a value was expected"), ("{\"a\":1.}", "has } where a digit was expected"),
    ("{\"a\":1e}", "has } where a digit was expected"),
    ("{\"a\":1e999}", "has the number 1e999, which is out of range"),
    ("{\"a\":nul}", "has n where null was expected"), ("{\"a\":NaN}", "has N where a value was expected"),
    ("{\"a\":[1]}", "has [ where a value was expected"), ("{\"a\":\"b", "ends in a text"),
    ("{\"a\":\"\\x\"}", "has an escape that JSON has not"), ("{\"a\":\"\\u12\"}", "has an escape that JSON has not"),
    ("{\"a\":\"\\ud800\"}", "has half a character in a text"),
    ("{\"a\":\"\u{1}\"}", "has a control character in a text"),
  ])
  func whatIsWrongIsSaid(_ text: String, _ reason: String) { #expect(self.reason(text) == reason) }

  @Test func textIsUTF8() {
    let bytes: [UInt8] = Array("{\"a".utf8) + [0xff] + Array("\":1}".utf8)
    #expect(throws: MetricsLine.Malformed.self) { try MetricsLine(bytes[...]) }
  }
}
