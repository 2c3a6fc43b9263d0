import Dataset
import Tensors
import Testing

/// Data sets of two cameras, and VehicleID.
@Suite struct LayoutTests {
  @Test(arguments: ["", "/VIPeR"]) func viperIsDividedByItsPersons(place: String) throws {
    try withFolder { folder in
      for person in 0..<6 {
        try touch(folder + place, "cam_a/00\(person)_45.png", "cam_b/00\(person)_90.png")
      }
      let data = try ReIDDataset.open(at: folder)
      #expect(data.name == "VIPeR, split 0 by identity")
      #expect(data.train.count == 6)
      #expect(Set(data.query.map(\.identity)) == Set(data.gallery.map(\.identity)))
      #expect(Set(data.query.map(\.identity)).isDisjoint(with: data.train.map(\.identity)))
      #expect(data.query.allSatisfy { $0.camera == 1 })
      #expect(data.gallery.allSatisfy { $0.camera == 2 })
      #expect(try data.check(images: 2).isEmpty)
      try touch(folder + place, "cam_b/nobody.png")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message.contains("nobody.png: the name does not tell a person")
      )
    }
  }

  /// Beyond 200 the same number is another person in each folder.
  @Test func pridHasPersonsOfOneCamera() throws {
    try withFolder { folder in
      for person in ["0001", "0002", "0199", "0200"] {
        try touch(folder + "/prid_2011/single_shot", "cam_a/person_\(person).png", "cam_b/person_\(person).png")
      }
      try touch(
        folder + "/prid_2011/single_shot", "cam_a/person_0201.png", "cam_b/person_0201.png", "cam_b/person_0749.png")
      let data = try ReIDDataset.open(at: folder), inside = try ReIDDataset.open(at: folder + "/prid_2011/single_shot")
      #expect(data.name == "PRID 2011, single shot, split 0 by identity" && inside.train == data.train)
      #expect(data.train.count == 4)
      #expect(data.query.count == 2)
      #expect(Set(data.gallery.map(\.identity)) == Set(data.query.map(\.identity)).union([201, 749]))
    }
  }

  @Test func vehicleIDIsReadByItsLists() throws {
    try withFolder { folder in
      let root = folder + "/VehicleID_V1.0"
      try put("0000001 7\n0000002 7\n0000003 9\n", root + "/train_test_split/train_list.txt")
      try put(
        "0000004 11\n0000005 11\r\n0000006 12\n0000007 12\n0000008 12\n", root + "/train_test_split/test_list_800.txt")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.train.map(\.path).first == root + "/image/0000001.jpg")
      #expect(data.train.map(\.identity) == [7, 7, 9])
      #expect(data.gallery.map(\.identity) == [11, 12])
      #expect(data.query.map(\.identity) == [11, 12, 12])
      #expect(Set((data.train + data.query + data.gallery).map(\.camera)).count == 8)
      #expect(try data.check().isEmpty)
      try put("0000004\n", root + "/train_test_split/test_list_800.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(root)/train_test_split/test_list_800.txt:1: expected \"name vehicle\", found \"0000004\"")
    }
  }
}
