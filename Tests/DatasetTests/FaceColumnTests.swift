import Dataset
import Testing

@Suite struct FaceColumnTests {
  @Test func facesOfOwnDataAreRead() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg")
      try put(
        "path,identity,split,face,mood\na.jpg,1,train,3 4 10 12,calm\nb.jpg,2,query,,\nc.jpg,2,gallery, -2  0 5 +6 ,x\n",
        folder + "/own.csv")
      let data = try ReIDDataset.open(at: folder + "/own.csv")
      #expect(data.train.map(\.face) == [Rectangle(top: 4, left: 3, height: 12, width: 10)])
      #expect(data.query.map(\.face) == [nil])
      #expect(data.gallery.map(\.face) == [Rectangle(top: 0, left: -2, height: 6, width: 5)])
      // Several data sets in one keep them.
      #expect(RunData([data, data]).train.map(\.face) == [data.train[0].face, data.train[0].face])
      try put("path,identity,camera,face\na.jpg,1,1,3 4 10 12\nb.jpg,1,1,\n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map(\.face) == [data.train[0].face, nil])
    }
  }

  @Test(arguments: [
    "3 4 10", "3 4 10 12 1", "3,4", "a b c d", "3 4 0 12", "3 4 10 -1", "1.5 2 3 4", "99999999999999999999 1 1 1",
  ])
  func badFacesAreNamed(face: String) throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg")
      try put("path,identity,camera,face\na.jpg,1,1,\nb.jpg,2,1,\"\(face)\"\n", folder + "/own.csv")
      let expected = "\(folder)/own.csv:3: face is \"\(face)\", expected x y width height in whole pixels, or nothing"
      #expect(failure { _ = try ReIDDataset.open(at: folder + "/own.csv") }.message == expected)
      #expect(failure { _ = try ImageList.read(path: folder + "/own.csv") }.message == expected)
    }
  }

  /// Who is seen together: an empty field is nobody, and anything but an integer a mistake.
  @Test func groupsOfListsAreRead() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg")
      try put("path,identity,camera,group\na.jpg,1,1,7\nb.jpg,1,1, \n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map(\.group) == [7, -1])
      // As tools write a column of integers with a gap.
      try put("path,identity,camera,group\na.jpg,1,1,\nb.jpg,1,1,7.0\n", folder + "/list.csv")
      #expect(try ImageList.read(path: folder + "/list.csv").map(\.group) == [-1, 7])
      try put("path,identity,camera,group\na.jpg,1,1,7\nb.jpg,1,1,abc\n", folder + "/list.csv")
      #expect(
        failure { _ = try ImageList.read(path: folder + "/list.csv") }.message
          == "\(folder)/list.csv:3: group is \"abc\", expected an integer")
    }
  }

  /// Ranks that have other faces are found out before they compute.
  @Test func facesAreCompared() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg")
      func survey(_ face: String) throws -> DatasetSurvey {
        try put("path,identity,split,face\na.jpg,1,train,\(face)\n", folder + "/own.csv")
        return try ReIDDataset.open(at: folder + "/own.csv").survey(of: [.train])
      }
      let first = try survey("1 2 3 4"), none = try survey("")
      #expect(try first == survey("1 2 3 4") && first != survey("1 2 3 5") && first != none)
      try put("path,identity,split\na.jpg,1,train\n", folder + "/own.csv")
      #expect(try ReIDDataset.open(at: folder + "/own.csv").survey(of: [.train]) == none)
      try put("path,identity,split,face\na.jpg,1,train,1 2 3 4\n", folder + "/own.csv")
      #expect(
        try ReIDDataset.open(at: folder + "/own.csv").listing(of: .train)
          == ["a.jpg (identity 1, camera 1, face 1 2 3 4, 0 bytes)"])
    }
  }
}
