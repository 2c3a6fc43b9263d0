import Dataset
import Foundation
import Tensors
import Testing

/// Data that says less than a benchmark's: no cameras, no split, other names, a folder an identity.
@Suite struct OwnDataTests {
  private func open(_ folder: String, _ lines: [String]) throws -> ReIDDataset {
    try put(lines.joined(separator: "\n"), folder + "/own.csv")
    return try ReIDDataset.open(at: folder + "/own.csv")
  }

  private func counts(_ data: ReIDDataset) -> [Int] { ReIDDataset.Split.allCases.map { data[$0].count } }

  /// Eight people, each on three images.
  private func people(_ folder: String) throws -> [String] {
    var rows: [String] = []
    for person in 1...8 {
      for image in 1...3 {
        try touch(folder, "\(person)-\(image).jpg")
        rows.append("\(person)-\(image).jpg,\(person)")
      }
    }
    return rows
  }

  /// Half of the people are trained on; of the others one image each is searched for among the rest. The order of the rows is
  /// nothing to it, and every image is its own camera, so that every query has matches.
  @Test func withoutCamerasAndSplitPeopleAreDivided() throws {
    try withFolder { folder in
      let rows = try people(folder)
      let data = try open(folder, ["path,identity"] + rows),
        again = try open(folder, ["path,identity"] + rows.reversed())
      #expect(data.name == "own data, split 0 by identity")
      #expect(counts(data) == [12, 4, 8])
      let trained = Set(data.train.map(\.identity)), searched = Set(data.query.map(\.identity))
      #expect(trained.count == 4 && searched.count == 4 && trained.isDisjoint(with: searched))
      #expect(Set(data.gallery.map(\.identity)) == searched)
      #expect(Set((data.train + data.query + data.gallery).map(\.camera)).count == 24)
      for split in ReIDDataset.Split.allCases {
        #expect(Set(data[split].map(\.path)) == Set(again[split].map(\.path)))
      }
      #expect(try data.check(images: 3).isEmpty)
      #expect(
        try data.check(images: 4) == [
          "4 of 4 training identities have fewer than 4 images (sampling.images), which then come more than once in a batch"
        ])
    }
  }

  /// Names of columns as other tools write them; `is_query` and `is_gallery` in place of a split.
  @Test func otherToolsColumnsAreKnown() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
      let data = try open(
        folder,
        [
          "Label,image_id,sequence,is_query,is_gallery", "ann,a.jpg,s1,False,False", "bob,b.jpg,s1,True,False",
          "bob,c.jpg,s2,0,1", "bob,\(folder)/d.jpg,s1,1,1",
        ])
      #expect(data.train.map(\.identity) == [1] && data.query.map(\.identity) == [2, 2])
      #expect(
        data.gallery.map(\.path) == [folder + "/c.jpg", folder + "/d.jpg"])
      #expect(data.gallery.map(\.camera) == [2, 1])
      // Rows for test that are nothing else are divided: one image an identity and camera that has another.
      let test = try open(
        folder, ["file,pid,cam,split", "a.jpg,1,1,train", "b.jpg,2,1,test", "c.jpg,2,1,test", "d.jpg,2,2,test"])
      #expect(counts(test) == [1, 1, 2])
      #expect(test.query[0].camera == 1)
      #expect(try test.check().isEmpty)
    }
  }

  /// What the columns leave open, or say twice and differently, is refused: it would change who is trained on.
  @Test(arguments: [
    ("path,identity,is_query", ["a.jpg,1,0"], ": no column \"is_gallery\"; the header is \"path,identity,is_query\""),
    ("path,identity,split,is_gallery", ["a.jpg,1,test,0"], ": no column \"is_query\"; "),
    (
      "path,identity,split,is_query,is_gallery", ["a.jpg,1,train,0,0", "b.jpg,2,test,0,0"],
      ":3: the image is for test, but neither is_query nor is_gallery"
    ),
    (
      "path,identity,split,is_query,is_gallery", ["a.jpg,1,train,1,0"],
      ":2: split is train, but is_query and is_gallery say query"
    ),
  ]) func rolesAreSaidWhole(_ header: String, _ rows: [String], _ problem: String) throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg")
      let found = failure { _ = try open(folder, [header] + rows) }
      #expect(found.kind == .data && found.message.hasPrefix("\(folder)/own.csv\(problem)"), "\(found.message)")
    }
  }

  /// A misspelt folder of a data set is no person.
  @Test func otherFoldersAreNoPeople() throws {
    try withFolder { folder in
      try touch(
        folder, "bounding_box_trian/0001_c1s1_1.jpg", "query/0002_c1s1_1.jpg", "bounding_box_test/0002_c2s1_1.jpg")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message.hasPrefix("\(folder): no data set: looked in it for "))
    }
    try withFolder { folder in
      try touch(folder, "images/a.jpg", "notes/b.txt")
      #expect(failure { _ = try ReIDDataset.open(at: folder) }.message.hasPrefix("\(folder): no data set: "))
    }
  }

  @Test func foldersOfNegativeNumbersAreJunk() throws {
    try withFolder { folder in
      try touch(
        folder, "train/0002/0002_c1s1_1.jpg", "train/0007/0007_c2s1_1.jpg", "query/9/0009_c1s1_1.jpg",
        "gallery/9/0009_c2s1_1.jpg", "gallery/-1/-1_c3s1_1.jpg", "gallery/0000/0000_c3s1_1.jpg")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.train.map(\.identity) == [2, 7])
      #expect(data.gallery.map(\.identity) == [0, 9])
    }
  }

  @Test func trainingAloneIsEnough() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg")
      let data = try open(folder, ["path,identity,split", "a.jpg,1,train", "b.jpg,2,train"])
      #expect(try !data.hasTest && data.check().isEmpty)
      let half = try open(folder, ["path,identity,split", "a.jpg,1,train", "b.jpg,2,query"])
      #expect(failure { _ = try half.check() }.message == "\(folder)/own.csv: no image of the split \"gallery\"")
    }
  }

  /// Said before a run, and not at its first evaluation.
  @Test func queriesWithoutAMatchAreCounted() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg")
      func rows(_ camera: Int) -> [String] {
        [
          "path,identity,camera,split", "a.jpg,1,1,train", "b.jpg,2,1,query", "c.jpg,2,\(camera),gallery",
          "d.jpg,3,1,query", "e.jpg,1,1,gallery", "f.jpg,3,1,gallery",
        ]
      }
      #expect(
        try open(folder, rows(2)).check() == [
          "1 of 2 queries have no image of their identity by another camera in the gallery, such as \(folder)/d.jpg "
            + "(identity 3, camera 1): they are left out of evaluations",
          "1 of 3 identities that are tested on are trained on too, such as 1: figures will be better than for new ones",
        ])
      let nothing = try open(folder, rows(1))
      #expect(
        failure { _ = try nothing.check() }.message
          == "\(folder)/own.csv: 2 of 2 queries have no image of their identity by another camera in the gallery, such as "
          + "\(folder)/b.jpg (identity 2, camera 1): nothing can be evaluated (all are by one camera; without any, each image "
          + "counts as its own)")
    }
  }

  @Test func foldersByIdentityAreRead() throws {
    try withFolder { folder in
      for person in ["ann", "bob", "cy", "di"] {
        try touch(folder, "\(person)/1.jpg", "\(person)/2.png", "\(person)/a.txt")
      }
      let data = try ReIDDataset.open(at: folder)
      #expect(data.name == "folders by identity, split 0 by identity")
      #expect(counts(data) == [4, 2, 2])
      #expect(Set((data.train + data.query).map(\.identity)) == [1, 2, 3, 4])
      #expect(try data.check().isEmpty)
    }
    try withFolder { folder in
      try touch(
        folder, "train/0007/0007_c1s1_1.jpg", "train/0007/0007_c2s1_1.jpg", "train/12/0012_c3s1_1.jpg",
        "query/15/0015_c1s1_1.jpg", "gallery/15/0015_c2s1_1.jpg", "test/16/0016_c1s1_1.jpg")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.train.map(\.identity) == [7, 7, 12])
      #expect(data.train.map(\.camera) == [1, 2, 3])
      #expect(data.query.map(\.identity) == [15])
      #expect(data.gallery.map(\.camera) == [2])
      try touch(folder, "gallery/17/a.webp")
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message.hasPrefix("\(folder)/gallery/17/a.webp: only JPEG"))
    }
  }

  @Test(arguments: ["Occluded_Duke", "DukeMTMC-reID", "cuhk03-np/detected", "labeled"])
  func dataSetsOfMarketsLayoutAreFound(place: String) throws {
    try withFolder { folder in
      try touch(
        folder + "/" + place, "bounding_box_train/0001_c2_f0046302.jpg", "query/0002_c1_f0046182.jpg",
        "bounding_box_test/0002_c2_f0046302.png")
      let data = try ReIDDataset.open(at: folder)
      #expect(data.root == folder + "/" + place)
      #expect(data.gallery.map(\.camera) == [2])
      #expect(PublishedCounts.nearest(data) == nil)
    }
  }

  /// The same word is another track with another identity or camera.
  @Test func tracksAreNumbered() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg")
      let data = try open(
        folder,
        [
          "path,identity,camera,split,tracklet", "a.jpg,1,1,train,", "b.jpg,2,1,query,x", "c.jpg,2,1,query, x ",
          "d.jpg,2,2,gallery,x", "e.jpg,3,2,gallery,x", "f.jpg,3,2,gallery,",
        ])
      #expect(data.train.map(\.track) == [nil])
      let query = data.query.map(\.track), gallery = data.gallery.map(\.track)
      #expect(query[0] != nil && query[0] == query[1])
      #expect(Set(query + gallery).count == 4)
      #expect(gallery[2] == nil)
      #expect(data.units(.query) == (1, "tracks") && data.units(.gallery) == (3, "tracks and single images"))
      #expect(data.units(.train) == (1, "images"))
      #expect(
        data.warnings == [
          "column tracklet: 1 of its names, such as x, stand for several identities or cameras; each is a track of its own",
          "column tracklet: empty for 2 images, which are single ones",
        ])
    }
  }

  /// A track was filmed by one camera, which is nobody else's where the file has no cameras; a random split takes all of it.
  @Test func tracksStayWholeWithoutCamerasAndSplit() throws {
    try withFolder { folder in
      var rows: [String] = []
      for person in 1...8 {
        for frame in 1...9 {
          try touch(folder, "\(person)-\(frame).jpg")
          rows.append("\(person)-\(frame).jpg,\(person),\((frame - 1) / 3)")
        }
      }
      let data = try open(folder, ["path,identity,track"] + rows)
      #expect(counts(data) == [36, 12, 24])
      #expect(data.units(.query) == (4, "tracks") && data.units(.gallery) == (8, "tracks"))
      let all = data.train + data.query + data.gallery
      let cameras = Dictionary(grouping: all, by: \.track).values.map { Set($0.map(\.camera)) }
      #expect(cameras.count == 24 && cameras.allSatisfy { $0.count == 1 } && Set(all.map(\.camera)).count == 24)
      #expect(try data.check().isEmpty)
      #expect(
        data.warnings == [
          "column track: 3 of its names, such as 0, stand for several identities or cameras; each is a track of its own"
        ])
    }
  }

  @Test func cutTracksAreCounted() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
      func rows(_ second: String) -> [String] {
        ["path,identity,camera,split,track", "a.jpg,1,1,query,x", "b.jpg,1,1,\(second),x", "c.jpg,1,2,gallery,y"]
      }
      #expect(
        try open(folder, rows("gallery")).check() == [
          "1 of 1 tracks that are searched for have frames in the gallery, too, such as that of \(folder)/a.jpg"
        ])
      #expect(try open(folder, rows("query")).check().isEmpty)
    }
  }

  /// Two data sets below one folder: neither is taken without a word.
  @Test func severalDataSetsInAFolderAreNamed() throws {
    try withFolder { folder in
      for place in ["detected", "labeled"] {
        try touch(
          folder + "/" + place, "bounding_box_train/0001_c2_1.jpg", "query/0002_c1_1.jpg",
          "bounding_box_test/0002_c2_1.png")
      }
      #expect(
        failure { _ = try ReIDDataset.open(at: folder) }.message
          == "\(folder): holds several data sets, \(folder)/detected, \(folder)/labeled: name one of them")
      #expect(try ReIDDataset.open(at: folder + "/labeled").root == folder + "/labeled")
    }
  }

  /// An image of the data set is no distractor, by whatever path.
  @Test func distractorsAreOthersThanTheDataSets() throws {
    try withFolder { folder in
      try touch(folder, "a.jpg", "b.jpg", "one/x.jpg", "two/y.jpg", "empty/y.txt")
      try put("path,identity,camera,split\na.jpg,1,1,query\nb.jpg,1,2,gallery\n", folder + "/own.csv")
      var reading = DatasetReading()
      func found(_ folders: String...) -> String {
        reading.distractors = folders.map { $0.isEmpty ? "" : folder + "/" + $0 }
        return failure { _ = try ReIDDataset.open(at: folder + "/own.csv", reading) }.message
      }
      reading.distractors = [folder + "/one", folder + "/two"]
      #expect(try ReIDDataset.open(at: folder + "/own.csv", reading).gallery.map(\.identity) == [1, 2, 2])
      #expect(found("one", "one") == "data.distractors, \(folder)/one/x.jpg: comes twice")
      #expect(found("empty") == "data.distractors: \(folder)/empty: no image (*.jpg, *.png) in it")
      #expect(found("nowhere") == "data.distractors: \(folder)/nowhere: no such folder")
      #expect(found("") == "data.distractors: the path of a folder is empty")
      try FileManager.default.createSymbolicLink(
        atPath: folder + "/two/z.jpg", withDestinationPath: folder + "/b.jpg")
      #expect(
        found("two") == "data.distractors, \(folder)/two/z.jpg: is \(folder)/b.jpg, which is there already")
    }
  }

  /// Identities of too few training images are left out of training alone, and the name says how many.
  @Test func identitiesOfFewImagesCanBeLeftOut() throws {
    try withFolder { folder in
      var rows: [String] = []
      for (identity, count) in [(1, 3), (2, 1), (3, 2), (4, 1)] {
        for image in 0..<count {
          try touch(folder, "\(identity)-\(image).jpg")
          rows.append("\(identity)-\(image).jpg,\(identity),\(identity == 4 ? "query" : "train")")
        }
      }
      let data = try open(folder, ["path,identity,split"] + rows)
      #expect(try data.leavingOut(fewerThan: 1).name == "own data")
      let fewer = try data.leavingOut(fewerThan: 2)
      #expect(fewer.train.map(\.identity) == [1, 1, 1, 3, 3] && fewer.query.count == 1)
      #expect(fewer.name == "own data, 1 of 3 training identities left out, of fewer than 2 images")
      #expect(fewer.summary.contains(fewer.name))
      #expect(try data.leavingOut(fewerThan: 3).train.map(\.identity) == [1, 1, 1])
      let none = failure { _ = try data.leavingOut(fewerThan: 4) }
      #expect(none.kind == .usage)
      #expect(
        none.message
          == "sampling.minimumImages is 4, but none of the 3 training identities of \(folder)/own.csv has so many")
    }
  }
}
