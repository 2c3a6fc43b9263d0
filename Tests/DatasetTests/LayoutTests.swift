import Dataset
import Tensors
import Testing

/// Data sets of two cameras, VehicleID, LaST, folders with `metadata.csv`, distractors.
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
      var reading = DatasetReading()
      reading.vehicles = 1600
      #expect(
        failure { _ = try ReIDDataset.open(at: folder, reading) }.message
          == "\(root)/train_test_split/test_list_1600.txt: No such file or directory")
      try put("0000009 11\n0000010 11\n", root + "/train_test_split/test_list_1600.txt")
      #expect(try ReIDDataset.open(at: folder, reading).name == "VehicleID, 1600 vehicles of test, split 0")
      try put("0000004\n", root + "/train_test_split/test_list_800.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(root)/train_test_split/test_list_800.txt:1: expected \"name vehicle\", found \"0000004\"")
    }
  }

  @Test func anotherSplitHasOtherPersons() throws {
    try withFolder { folder in
      for person in 10..<40 { try touch(folder, "cam_a/0\(person)_45.png", "cam_b/0\(person)_90.png") }
      var reading = DatasetReading()
      reading.split = 3
      let first = try ReIDDataset.open(at: folder), other = try ReIDDataset.open(at: folder, reading)
      #expect(other.name == "VIPeR, split 3 by identity")
      #expect(other.train.count == first.train.count && other.train != first.train)
      #expect(try ReIDDataset.open(at: folder, reading).train == other.train)
    }
  }

  @Test(arguments: ["", "/last"]) func lastHasQueriesInOneFolder(place: String) throws {
    try withFolder { folder in
      let root = folder + place
      try touch(
        root, "train/000001/000001_a_1.jpg", "train/000001/000001_b_1.jpg", "train/000002/000002_a_1.jpg",
        "test/query/000001_c.jpg", "test/gallery/000001/000001_d.jpg", "test/gallery/000005/000005_e.jpg")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.name == "LaST" && data.root == root)
      #expect(data.train.map(\.identity) == [1, 1, 2])
      #expect(data.query.map(\.identity) == [1])
      #expect(data.gallery.map(\.identity) == [1, 5])
      #expect(Set((data.train + data.query + data.gallery).map(\.camera)).count == 6)
      // Persons of training and test are counted apart.
      #expect(try data.check().isEmpty)
      try touch(root, "test/query/who.jpg")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(root)/test/query/who.jpg: the name does not begin with a person's number, as 000123_….jpg does")
    }
  }

  /// As WildlifeDatasets and AnimalCLEF lay them out.
  @Test func metadataInAFolderTellsItsImages() throws {
    try withFolder { folder in
      try touch(folder, "images/a.jpg", "images/b.jpg", "images/c.jpg", "images/d.jpg")
      try put(
        """
        image_id,identity,path,date,orientation,species,split,dataset
        0,lynx_1,images/a.jpg,2020-01-01,left,lynx,train,Lynx
        1,lynx_2,images/b.jpg,,right,lynx,train,Lynx
        2,lynx_3,images/c.jpg,,left,lynx,test,Lynx
        3,lynx_3,images/d.jpg,,left,lynx,test,Lynx

        """, folder + "/metadata.csv")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.root == folder + "/metadata.csv")
      #expect(data.train.map(\.path) == [folder + "/images/a.jpg", folder + "/images/b.jpg"])
      #expect(data.query.count == 1 && data.gallery.count == 1)
      #expect(try data.check().isEmpty)
    }
  }

  @Test func distractorsAreNobodyInTheGallery() throws {
    try withFolder { folder in
      let market = folder + "/market"
      try touch(
        market, "bounding_box_train/0002_c1s1_000001_00.jpg", "query/0009_c1s1_000001_00.jpg",
        "bounding_box_test/0009_c2s1_000001_00.jpg")
      try touch(folder, "more/x.jpg", "more/y.png", "none/readme.txt")
      var reading = DatasetReading()
      reading.distractors = [folder + "/more"]
      let plain = try ReIDDataset.open(at: market), data = try ReIDDataset.open(at: market, reading)
      #expect(data.name == "Market-1501 layout, 2 distractors")
      #expect(data.train == plain.train)
      #expect(data.query == plain.query)
      #expect(data.gallery.map(\.path) == plain.gallery.map(\.path) + [folder + "/more/x.jpg", folder + "/more/y.png"])
      #expect(data.gallery.map(\.identity) == [9, 10, 10])
      #expect(try data.check().isEmpty)
    }
  }
}
