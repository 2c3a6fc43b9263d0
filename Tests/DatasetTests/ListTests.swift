import Dataset
import Foundation
import Tensors
import Testing

/// The CSV files: a user's own data, and the lists of the commands.
@Suite struct ListTests {
  @Test func ownDataWithNumbers() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "g.jpg", "sub/b \"1\", x.jpg")
      try put(
        "\u{FEFF}split,path,note,identity,camera\r\ntrain,a.jpg,,0,3\r\n\r\n"
          + "query,\"sub/b \"\"1\"\", x.jpg\",\"two\nlines\",12,1\r\n"
          + "gallery,\(folder)/g.jpg,,12,2\ngallery,a.jpg,,-1,2",
        folder + "/own.csv")
      let data = try ReIDDataset.open(at: folder + "/own.csv")
      #expect(data.train == [Sample(path: folder + "/a.jpg", identity: 0, camera: 3)])
      #expect(data.query == [Sample(path: folder + "/sub/b \"1\", x.jpg", identity: 12, camera: 1)])
      #expect(data.gallery == [Sample(path: folder + "/g.jpg", identity: 12, camera: 2)])
    }
  }

  @Test func ownDataWithNames() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg")
      try put(
        "path,identity,camera,split\na.jpg,zoe,door,train\nb.jpg,7,yard,query\nc.jpg,anna,door,gallery\n",
        folder + "/own.csv")
      let data = try ReIDDataset.open(at: folder + "/own.csv")
      #expect(data.train[0].identity == 3 && data.query[0].identity == 1 && data.gallery[0].identity == 2)
      #expect(data.train[0].camera == 1 && data.query[0].camera == 2)
    }
  }

  /// Rows of a stray space, a zero in front or junk among names are those that they look like.
  @Test func ownDataIsReadAsAPersonWould() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg")
      let rows = [
        "a.jpg,0001,1 , train", "b.jpg,1,\" 1\",\"query \"", "c.jpg,+1,\u{A0}2,gallery", "d.jpg,-1,2,gallery",
        "d.jpg,\u{2212}1,2,gallery", "e.jpg,\u{FEFF}anna,02,gallery", "f.jpg, anna ,2,gallery",
      ]
      try put("path,identity,camera,split\n" + rows.joined(separator: "\n"), folder + "/own.csv")
      let data = try ReIDDataset.open(at: folder + "/own.csv")
      #expect(data.train.map(\.identity) == [1] && data.query.map(\.identity) == [1])
      #expect(data.gallery.map(\.identity) == [1, 2, 2] && data.gallery.map(\.camera) == [2, 2, 2])
      #expect(data.train.map(\.camera) == [1] && data.query.map(\.camera) == [1])
    }
  }

  /// One counted twice, or under two names, changes every figure; a query among the gallery's images does not.
  @Test(
    arguments: [
      ("a.jpg,1,1,train", nil), ("q.jpg,1,1,gallery", nil), ("./a.jpg,1,1,train", "for train"),
      ("b/../q.jpg,1,1,query", "for query"), ("FOLDER/a.jpg,1,1,train", "for train"),
      ("link/q.jpg,1,1,query", "for query"), ("q.jpg,1,1,train", "for query"), ("a.jpg,1,1,gallery", "for train"),
      ("q.jpg,1,2,gallery", "with another identity or camera"), ("q.jpg,2,1,query", "with another identity or camera"),
    ] as [(String, String?)]) func anImageIsListedOnce(_ row: String, _ problem: String?) throws
  {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "g.jpg", "q.jpg", "b/in.jpg")
      try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: folder)
      let row = row.replacing("FOLDER", with: folder)
      let rows = ["path,identity,camera,split", "b.jpg,2,1,train", "q.jpg,1,1,query", "g.jpg,1,2,gallery"]
      let first = problem?.contains("train") == true ? "a.jpg,1,1,train" : "b.jpg,-1,1,train"
      try put((rows + [first, row]).joined(separator: "\n"), folder + "/own.csv")
      guard let problem else {
        _ = try ReIDDataset.open(at: folder + "/own.csv")
        return
      }
      let message = failure { _ = try ReIDDataset.open(at: folder + "/own.csv") }.message
      let name = row.prefix { $0 != "," }
      #expect(message.hasPrefix("\(folder)/own.csv:6: \(name) is listed in line ") && message.hasSuffix(problem))
    }
  }

  /// One slip of the keyboard makes names of all numbers, and other cameras of some.
  @Test func numbersAmongNamesAreSaid() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
      func open(_ rows: String...) throws -> ReIDDataset {
        try put("path,identity,camera,split\n" + rows.joined(separator: "\n"), folder + "/own.csv")
        return try ReIDDataset.open(at: folder + "/own.csv")
      }
      let mixed = try open("a.jpg,-1,1,train", "b.jpg,anna,1,train", "c.jpg,7,1O,query", "d.jpg,zoe,2,gallery")
      #expect(
        mixed.warnings == [
          "\(folder)/own.csv:4: identity is \"7\", a number among names (1 of 3)",
          "\(folder)/own.csv:4: camera is \"1O\", a name among numbers (1 of 4)",
        ])
      let wide = try open("a.jpg,１２,２,train", "b.jpg,12,2,query", "c.jpg,－1,１,gallery", "d.jpg,1,1,gallery")
      #expect(wide.warnings.isEmpty && wide.train[0].identity == 12 && wide.train[0].camera == 2)
      #expect(wide.gallery.map(\.identity) == [1])
      #expect(try open("a.jpg,-1,1,train", "b.jpg,anna,1,train").warnings.isEmpty)
    }
  }

  @Test func numbersOf64BitsAreRead() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "9223372036854775807_c3000000000s1.jpg")
      try put("path,identity,camera\na.jpg,9223372036854775807,-9223372036854775808\n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map { [$0.identity, $0.camera] } == [[.max, .min]])
      #expect(try ImageList.images(inFolder: folder).map(\.identity) == [.max, -1])
      #expect(try ImageList.images(inFolder: folder).map(\.camera) == [3_000_000_000, -1])
      try put("path,identity,camera,group\na.jpg,1,2,-3\n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map(\.group) == [-3])
      // Somebody else's column of that name is not ours.
      try put("path,identity,camera,group\na.jpg,1,2,train\n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map(\.group) == [nil])
      try put("path,identity,camera\n", folder + "/list.csv")
      let empty = failure { _ = try ImageList.read(path: folder + "/list.csv") }
      #expect(empty.kind == .data && empty.message == "\(folder)/list.csv: no image in it")
    }
  }

  @Test(.timeLimit(.minutes(1))) func listsThatAreNoFilesAreRefused() throws {
    try withFolder { folder in
      #expect(mkfifo(folder + "/own.csv", 0o600) == 0)
      for path in [folder + "/own.csv", "/dev/zero"] {
        #expect(failure { _ = try ReIDDataset.open(at: path) }.message == "\(path): not a regular file")
        #expect(failure { _ = try ImageList.read(path: path) }.message == "\(path): not a regular file")
      }
      try touch(folder, "msmt/train/a.jpg")
      #expect(mkfifo(folder + "/msmt/list_train.txt", 0o600) == 0)
      let list = failure { _ = try ReIDDataset.open(at: folder + "/msmt") }
      #expect(list.message == "\(folder)/msmt/list_train.txt: not a regular file")
    }
  }

  /// A name must not reach a terminal as it is.
  @Test func controlCharactersOfNamesAreWrittenOut() throws {
    try withFolder { folder in
      let error = failure { _ = try ImageCodec.decode(path: folder + "/a\u{1B}[2J\u{7}\nb.jpg") }
      #expect(error.message == "\(folder)/a\\u{1b}[2J\\u{7} b.jpg: No such file or directory")
    }
  }

  @Test(arguments: [
    ("", ": empty; expected a header line"),
    ("\u{FEFF}", ": empty; expected a header line"),
    (
      "path,camera,split\na.jpg,1,train\n",
      ": no column \"identity\" (or pid, label, id); the header is \"path,camera,split\""
    ),
    ("pid,Label,path\n1,1,a.jpg\nx,1,b.jpg\npid,1,c.jpg\n,1,d.jpg\n", ":5: pid is empty"),
    ("path,identity,PATH\na.jpg,1,b\n", ": the columns \"path\" and \"PATH\" mean the same"),
    ("path,identity,is_query,is_gallery\na.jpg,1,perhaps,1\n", ":2: is_query is \"perhaps\", expected true or false"),
    (
      "path,identity,split\na.jpg,1,test\na.jpg,1,val\n",
      ":3: both test and validation images are listed; expected one of them to be tested on"
    ),
    ("path,identity,camera,split\n", ": no image in it"),
    ("path,identity,camera,split\na.jpg,1,1,vla\n", ":2: split is \"vla\", expected train, query, gallery or test"),
    ("path,identity,camera,split\na.jpg,1,1,train\n\na.jpg,1,1\n", ":4: 3 fields, expected 4 as in the header"),
    ("path,identity,camera,split\n\"a\n.jpg\",1,1,train\na.jpg,\"1,1,val\n", ":4: a quote that is never closed"),
    ("path,identity,camera,split\n\"a\".jpg,1,1,train\n", ":2: text after a closing quote"),
    ("path,identity,camera,split\na.jpg,1,,train\n", ":2: camera is empty"),
    ("path,identity,camera,split\n,1,1,train\n", ":2: path is empty"),
    ("path,identity,camera,split\nnone.jpg,1,1,train\n", ":2: FOLDER/none.jpg does not exist"),
  ])
  func whatIsWrongIsNamedWithItsLine(text: String, expected: String) throws {
    try withFolder { folder in
      try touch(folder, "a.jpg")
      try put(text, folder + "/own.csv")
      let error = failure { _ = try ReIDDataset.open(at: folder + "/own.csv") }
      #expect(error.kind == .data)
      #expect(error.message == folder + "/own.csv" + expected.replacingOccurrences(of: "FOLDER", with: folder))
    }
  }

  @Test func listsComeBackAsWritten() throws {
    try withFolder { folder in
      let samples = [
        Sample(path: "/x/plain.jpg", identity: 5, camera: 1),
        Sample(path: "a \"b\", c\n.jpg", identity: -1, camera: -1),
        Sample(path: "ü.jpg", identity: 0, camera: 22),
      ]
      try ImageList.write(samples, to: folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv") == samples)
      let text = try String(contentsOfFile: folder + "/list.csv", encoding: .utf8)
      #expect(text.hasPrefix("path,identity,camera\n/x/plain.jpg,5,1\n\"a \"\"b\"\", c\n.jpg\",-1,-1\n"))
      let unwritable = failure { try ImageList.write(samples, to: folder + "/no/list.csv") }
      #expect(unwritable.kind == .internal && unwritable.message == "\(folder)/no/list.csv: No such file or directory")
    }
  }

  @Test func pathsCountFromTheListWhereTheyExistThere() throws {
    try withFolder { folder in
      try touch(folder, "here.jpg")
      try put("path,identity,camera\nhere.jpg,1,2\nelsewhere.jpg,3,4\n", folder + "/list.csv")
      let resolved = try ImageList.read(path: folder + "/list.csv")
      #expect(resolved.map(\.path) == [folder + "/here.jpg", "elsewhere.jpg"])
      let written = try ImageList.read(path: folder + "/list.csv", resolvingPaths: false)
      #expect(written.map(\.path) == ["here.jpg", "elsewhere.jpg"])
      try put("path,identity,camera\nhere.jpg,one,2\n", folder + "/list.csv")
      let error = failure { _ = try ImageList.read(path: folder + "/list.csv") }
      #expect(error.message == "\(folder)/list.csv:2: identity is \"one\", expected an integer")
    }
  }

  @Test func foldersAreListedWithWhatNamesTell() throws {
    try withFolder { folder in
      try touch(folder, "b.jpg", "0003_c2s1_000001_00.jpg", "-1_c5s1_000001_00.jpg", "notes.txt", "sub/c.jpg")
      #expect(
        try ImageList.images(inFolder: folder) == [
          Sample(path: folder + "/-1_c5s1_000001_00.jpg", identity: -1, camera: 5),
          Sample(path: folder + "/0003_c2s1_000001_00.jpg", identity: 3, camera: 2),
          Sample(path: folder + "/b.jpg", identity: -1, camera: -1),
        ])
      let none = failure { _ = try ImageList.images(inFolder: folder + "/none") }
      #expect(none.message == "\(folder)/none: no such folder")
    }
  }
}
