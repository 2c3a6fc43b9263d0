import Dataset
import Foundation
import Tensors
import TestSupport
import Testing

/// Galleries to search in, as their owners have them.
@Suite struct SearchedGalleryTests {
  private let folder: TemporaryFolder
  private var root: String { folder.path }

  init() throws { folder = try TemporaryFolder() }

  private func put(_ paths: String...) throws {
    for path in paths {
      let file = URL(fileURLWithPath: "\(root)/\(path)")
      try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data().write(to: file)
    }
  }

  private func found(_ name: String) throws -> [[String]] {
    try SearchedGallery(at: "\(root)/\(name)").samples.map {
      [String($0.path.dropFirst(root.utf8.count + 1)), "\($0.identity)", "\($0.camera)"]
    }
  }

  private func names(_ name: String) throws -> LabelNames { try SearchedGallery(at: "\(root)/\(name)").names }

  @Test func folders() throws {
    try put("flat/0007_c2s1_000001_00.jpg", "flat/other.png", "flat/below/ignored.jpg")
    #expect(
      try found("flat") == [["flat/0007_c2s1_000001_00.jpg", "7", "2"], ["flat/other.png", "-1", "-1"]])
    try put("people/bob/1.jpg", "people/ann/2.png", "people/ann/1.jpg", "people/-1/junk.jpg")
    #expect(
      try found("people") == [
        ["people/ann/1.jpg", "1", "-1"], ["people/ann/2.png", "1", "-1"], ["people/bob/1.jpg", "2", "-1"],
      ])
    #expect(try names("people") == LabelNames(identities: [1: "ann", 2: "bob"]))
    try put("one/12/0012_c3s1_000001_00.jpg")
    #expect(try names("one").isEmpty && names("flat").isEmpty)
    #expect(try found("one") == [["one/12/0012_c3s1_000001_00.jpg", "12", "3"]])
    // A data set is none, and its parts are no people.
    for layout in ["query", "train"] {
      try put("\(layout)-set/\(layout)/1.jpg", "\(layout)-set/ann/1.jpg")
      #expect(message(.data) { try found("\(layout)-set") }?.contains("no image") == true)
    }
    try put("gap/ann/1.jpg", "gap/bob/notes.txt")
    #expect(message(.data) { try found("gap") }?.contains("gap/bob: no image") == true)
  }

  /// A link to nothing is left out and said; where there is nothing else, nothing can be searched.
  @Test func whatIsNoFileIsLeftOut() throws {
    try put("some/a.jpg", "none/notes.txt")
    let link = "\(root)/some/b.jpg"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "\(root)/nothing.jpg")
    #expect(try found("some") == [["some/a.jpg", "-1", "-1"]])
    #expect(
      try SearchedGallery(at: "\(root)/some").warnings == [
        "left out: \(link): no file that can be read under this name"
      ])
    try FileManager.default.createSymbolicLink(
      atPath: "\(root)/none/b.jpg", withDestinationPath: "\(root)/nothing.jpg")
    #expect(message(.data) { try found("none") } == "\(root)/none: none of its 1 images is a file that can be read")
  }

  @Test func lists() throws {
    func list(_ text: String) throws { try text.write(toFile: "\(root)/g.csv", atomically: false, encoding: .utf8) }
    try put("a.jpg", "b.jpg")
    try list("camid,filename,pid\ndoor,a.jpg,bob\nhall,b.jpg,ann\n")
    #expect(try found("g.csv") == [["a.jpg", "2", "1"], ["b.jpg", "1", "2"]])
    #expect(try names("g.csv") == LabelNames(identities: [1: "ann", 2: "bob"], cameras: [1: "door", 2: "hall"]))
    try list("camera,path,identity\ndoor,a.jpg,7\n10,b.jpg,9\n")
    #expect(try names("g.csv") == LabelNames(cameras: [1: "10", 2: "door"]))
    try list("path\na.jpg\n")
    #expect(try found("g.csv") == [["a.jpg", "-1", "-1"]])
    try list("path,identity\na.jpg,3\nb.jpg,bob\n")
    #expect(try SearchedGallery(at: "\(root)/g.csv").warnings.count == 1)
    for (text, reason) in [
      ("path,identity\n", "no image in it"), ("name\na.jpg\n", "no column \"path\""),
      ("path\n\"\"\n", "g.csv:2: path is empty"),
      ("path,identity\na.jpg,\n", "g.csv:2"),
    ] {
      try list(text)
      #expect(message(.data) { try found("g.csv") }?.contains(reason) == true, "\(text)")
    }
  }
}
