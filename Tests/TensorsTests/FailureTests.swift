import Tensors
import Testing

@Suite struct FailureTests {
  @Test func theLineIsMadeOfTheFields() {
    let failure = Failure(.internal, path: "run/log.txt", operation: "write", "No space left on device")
    #expect(failure.message == "write: run/log.txt: No space left on device")
    #expect(failure.at(rank: 2, host: "node3").description == "rank 2 on node3: \(failure.message)")
    #expect(failure.at(rank: 2, host: "node3").message == failure.message)
    #expect(Failure.usage("seed is -1").description == "seed is -1")
    let damaged = Failure.data("labels.csv:12", "camera is empty")
    #expect(damaged.path == "labels.csv:12" && damaged.reason == "camera is empty" && damaged.kind.rawValue == 65)
  }

  @Test func theSystemsReasonIsItsOwn() {
    let failure = Failure.system(.data, "a.jpg", 2)
    #expect(failure.path == "a.jpg" && failure.message == "a.jpg: No such file or directory")
  }

  /// A file that was written aside goes by the name that it was to have, and nothing else does.
  @Test func aFolderIsRenamed() {
    func renamed(_ path: String) -> String? { Failure.data(path, "full").renaming("/a/.b", to: "/a/b").path }
    #expect(renamed("/a/.b/model") == "/a/b/model" && renamed("/a/.b") == "/a/b" && renamed("/a/.bc/x") == "/a/.bc/x")
    #expect(Failure.data("/a/.b is full").renaming("/a/.b", to: "/a/b").message == "/a/.b is full")
  }

  @Test func whateverIsInItIsOneLine() {
    #expect(!Failure.data("a\nb.jpg", "text\nof a file").description.contains("\n"))
  }
}
