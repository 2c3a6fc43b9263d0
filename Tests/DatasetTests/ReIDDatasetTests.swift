import Dataset
import Foundation
import Tensors
import Testing

@Suite struct ReIDDatasetTests {
  private func market(_ root: String) throws {
    try touch(
      root, "bounding_box_train/0002_c1s1_000451_03.jpg", "bounding_box_train/0002_c2s1_000001_00.JPG",
      "bounding_box_train/0000_c2s1_000002_00.jpg", "bounding_box_train/-1_c2s1_000003_00.jpg",
      "bounding_box_train/Thumbs.db", "bounding_box_train/.0009_c1s1_000001_00.jpg", "query/0007_c3s2_000004_00.jpeg",
      "query/0000_c3s2_000009_00.jpg", "bounding_box_test/0007_c1s1_000005_00.jpg",
      "bounding_box_test/0000_c12s1_000006_00.PNG", "bounding_box_test/-1_c1s1_000007_00.jpg")
  }

  @Test(arguments: [
    "", "/Market-1501-v15.09.15", "/market1501", "/market1501/Market-1501-v15.09.15", "/Market-1501", "/Market1501",
  ])
  func market1501IsFoundInTheUsualPlaces(place: String) throws {
    try withFolder { folder in
      try market(folder + place)
      for root in [folder, folder + "/"] {
        let data = try ReIDDataset.open(at: root)
        let base = folder + place
        #expect(data.root == base && data.name == "Market-1501 layout")
        // Junk is dropped everywhere, distractors stay in the gallery alone; sorted by name.
        #expect(
          data.train == [
            Sample(path: base + "/bounding_box_train/0002_c1s1_000451_03.jpg", identity: 2, camera: 1),
            Sample(path: base + "/bounding_box_train/0002_c2s1_000001_00.JPG", identity: 2, camera: 2),
          ])
        #expect(data.query == [Sample(path: base + "/query/0007_c3s2_000004_00.jpeg", identity: 7, camera: 3)])
        #expect(
          data.gallery == [
            Sample(path: base + "/bounding_box_test/0000_c12s1_000006_00.PNG", identity: 0, camera: 12),
            Sample(path: base + "/bounding_box_test/0007_c1s1_000005_00.jpg", identity: 7, camera: 1),
          ])
        #expect(
          data.summary == "\(base) (Market-1501 layout): train 2 images of 1 identities, 2 cameras; "
            + "query 1 images of 1 identities, 1 cameras; gallery 2 images of 2 identities, 2 cameras")
        #expect(data[.query] == data.query && data[.train] == data.train && data[.gallery] == data.gallery)
      }
    }
  }

  @Test func whatIsWrongIsNamed() throws {
    try withFolder { folder in
      let missing = failure { _ = try ReIDDataset.open(at: folder + "/none") }
      #expect(missing.message == "\(folder)/none: no such folder or CSV file; a data set was expected there")
      let nothing = failure { _ = try ReIDDataset.open(at: folder) }
      #expect(nothing.kind == .data)
      #expect(
        nothing.message.hasPrefix(
          "\(folder): no data set: looked in it for bounding_box_train (or in Market-1501-v15.09.15, market1501, "))
      #expect(nothing.message.contains("; list_train.txt (or in MSMT17_V1, "))
      #expect(nothing.message.contains("; image_train (or in VeRi, "))

      try touch(folder, "bounding_box_train/notes.txt")
      let empty = failure { _ = try ReIDDataset.open(at: folder) }
      #expect(empty.message == "\(folder)/bounding_box_train: no image (*.jpg, *.png) in it")
      try touch(folder, "bounding_box_train/0001_c1.jpg")
      let query = failure { _ = try ReIDDataset.open(at: folder) }
      #expect(query.message == "\(folder)/query: no such folder")
      try touch(folder, "query/person.jpg")
      let name = failure { _ = try ReIDDataset.open(at: folder) }
      #expect(name.message.hasPrefix("\(folder)/query/person.jpg: the name does not tell identity and camera"))
      try touch(folder, "bounding_box_train/0001_c1.webp")
      let kind = failure { _ = try ReIDDataset.open(at: folder) }
      #expect(
        kind.message
          == "\(folder)/bounding_box_train/0001_c1.webp: only JPEG and PNG images (*.jpg, *.jpeg, *.png) are read")
    }
  }

  @Test(arguments: ["--1_c1.jpg", "_c1.jpg", "0001_cx.jpg", "0001c1.jpg", "99999999999999999999_c1.jpg", "c.jpg"])
  func namesThatTellNothingAreErrors(name: String) throws {
    try withFolder { folder in
      try touch(folder, "bounding_box_train/" + name)
      #expect(failure { _ = try ReIDDataset.open(at: folder) }.message.contains("/" + name + ": the name does not"))
    }
  }

  @Test func theFirstMatchInANameCounts() throws {
    try withFolder { folder in
      try touch(folder, "cam_c_x0012_c3_0007_c4.jpg")
      let samples = try ImageList.images(inFolder: folder)
      #expect(samples.map(\.identity) == [12] && samples.map(\.camera) == [3])
    }
  }

  @Test func veriIsRead() throws {
    try withFolder { folder in
      try touch(
        folder + "/VeRi", "image_train/0001_c001_00016450_0.jpg", "image_query/0002_c002_00030600_0.jpg",
        "image_test/0002_c014_00030605_1.jpg")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.name == "VeRi layout")
      #expect(data.train.map(\.identity) == [1] && data.query.map(\.camera) == [2])
      #expect(data.gallery.map(\.camera) == [14])
    }
  }

  @Test(arguments: [("MSMT17_V1", "train", "test"), ("msmt17/MSMT17_V2", "mask_train_v2", "mask_test_v2")])
  func msmt17IsRead(place: String, train: String, test: String) throws {
    try withFolder { folder in
      let base = folder + "/" + place
      try touch(
        base, train + "/0000/0000_000_01_0303morning_0008_0.jpg", train + "/0001/0001_000_05_0303noon_0008_1.jpg",
        test + "/0000/0000_000_14_0303morning_0020_0.jpg")
      try put(
        "0000/0000_000_01_0303morning_0008_0.jpg 0\r\n\n0000/0000_001_02_0303morning_0009_0.jpg 0\n",
        base + "/list_train.txt")
      try put("0001/0001_000_05_0303noon_0008_1.jpg 1\n", base + "/list_val.txt")
      try put("0000/0000_000_14_0303morning_0020_0.jpg 0\n", base + "/list_query.txt")
      try put("0000/0000_000_14_0303morning_0020_0.jpg 0\n", base + "/list_gallery.txt")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.train.map(\.identity) == [0, 0] && data.train.map(\.camera) == [1, 2])
      #expect(data.train[0].path == "\(base)/\(train)/0000/0000_000_01_0303morning_0008_0.jpg")
      #expect(data.query == data.gallery && data.query[0].camera == 14 && data.query[0].identity == 0)
      var reading = DatasetReading()
      reading.includeValidation = true
      let both = try ReIDDataset.open(at: folder, reading)
      #expect(both.train.map(\.identity) == [0, 0, 1])

      try put("0000/x_y.jpg 0\n", base + "/list_gallery.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(base)/list_gallery.txt:1: no camera in the third field of \"x_y.jpg\"")
      try put("a_b_1.jpg\n", base + "/list_gallery.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(base)/list_gallery.txt:1: expected \"path identity\", found \"a_b_1.jpg\"")
      try put("\u{FEFF}a_b_1_c.jpg 99999999999999999999\n", base + "/list_gallery.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(base)/list_gallery.txt:1: expected \"path identity\", found \"a_b_1_c.jpg 99999999999999999999\"")
      try put("\u{FEFF}a_b_1_c.jpg 9223372036854775807\n", base + "/list_gallery.txt")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(base)/list_gallery.txt: its first image \(base)/\(test)/a_b_1_c.jpg does not exist")
    }
  }

  @Test func requiredSplitsAreNamed() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg")
      try put("path,identity,camera,split\na.jpg,4,1,train\n", folder + "/own.csv")
      let data = try ReIDDataset.open(at: folder + "/own.csv")
      try data.require(.train)
      let missing = failure { try data.require(.train, .query, .gallery) }
      #expect(missing.kind == .data && missing.message == "\(folder)/own.csv: no image of the split \"query\"")
    }
  }

  @Test func classesAscendWithIdentities() {
    let samples = [7, 3, 7, 1500, 0].map { Sample(path: "", identity: $0, camera: 0) }
    #expect(Sample.classes(of: samples) == [0: 0, 3: 1, 7: 2, 1500: 3])
  }
}
