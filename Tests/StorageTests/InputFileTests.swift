import Foundation
import Storage
import Tensors
import TestSupport
import Testing

@Suite struct InputFileTests {
  @Test func readsRegularFiles() throws {
    let folder = try TemporaryFolder()
    #expect(try InputFile.read(folder.file("a", "text")) == Array("text".utf8))
    #expect(try InputFile.read(folder.file("empty", "")).isEmpty)
    #expect(try InputFile.text(folder.file("a")) == "text" && InputFile.size(folder.file("a")) == 4)
    try FileManager.default.createSymbolicLink(atPath: folder.file("link"), withDestinationPath: "a")
    #expect(try InputFile.text(folder.file("link")) == "text")
  }

  /// None of them may hang, or be read without end.
  @Test(.timeLimit(.minutes(1))) func whatIsNoFileIsRefused() throws {
    let folder = try TemporaryFolder(), pipe = try folder.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    #expect(message(.data) { _ = try InputFile.read(pipe) } == "\(pipe): not a regular file")
    #expect(message(.data) { _ = try InputFile.read("/dev/zero") } == "/dev/zero: not a regular file")
    #expect(message(.data) { _ = try InputFile.read(folder.path) } == "\(folder.path): Is a directory")
    let missing = try folder.file("missing")
    #expect(message(.data) { _ = try InputFile.read(missing) } == "\(missing): No such file or directory")
    #expect(InputFile.size(pipe) == nil && InputFile.size(missing) == nil)
  }

  @Test func aLimitHoldsBeforeMemoryIsTaken() throws {
    let folder = try TemporaryFolder(), path = try folder.file("sparse", "")
    #expect(truncate(path, 1 << 40) == 0)
    #expect(message(.data) { _ = try InputFile.read(path) }?.contains("more than") == true)
    #expect(message(.data) { _ = try InputFile.read(path, limit: 10) }?.contains("more than the 10") == true)
    try Data([0xff, 0xfe]).write(to: URL(fileURLWithPath: folder.file("binary")))
    let binary = try folder.file("binary")
    #expect(message(.data) { _ = try InputFile.text(binary) } == "\(binary): not UTF-8 text")
  }
}
