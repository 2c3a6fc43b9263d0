import Dataset
import Tensors
import Testing

/// Several data sets at once.
@Suite struct RunDataTests {
  private func dataset(_ root: String, _ identities: [Int], test: Bool = true) throws -> ReIDDataset {
    try touch(root, "a.jpg", "b.jpg", "c.jpg", "q.jpg", "g.jpg")
    let training = zip(["a.jpg", "b.jpg", "c.jpg"], identities).map { "\($0),\($1),\($1 % 2 + 5),train" }
    let tests = test ? ["q.jpg,90,1,query", "g.jpg,90,2,gallery"] : []
    try put((["path,identity,camera,split"] + training + tests).joined(separator: "\n"), root + "/own.csv")
    return try ReIDDataset.open(at: root + "/own.csv")
  }

  @Test func identitiesAndCamerasAreKeptApart() throws {
    try withFolder { folder in
      let first = try dataset(folder + "/x", [3, 7, 7]), second = try dataset(folder + "/y", [7, 3, 2], test: false)
      let one = RunData([first]), both = RunData([first, second], tests: [try dataset(folder + "/z", [1, 1, 1])])
      #expect(one.train == first.train)
      #expect(both.train.map(\.path) == (first.train + second.train).map(\.path))
      #expect(both.train.map(\.identity) == [0, 1, 1, 4, 3, 2])
      #expect(both.train.map(\.camera) == [0, 0, 0, 2, 2, 1])
      // The second has nothing to test on; of the third only that counts.
      #expect(both.tests.map(\.root) == ["x", "z"].map { "\(folder)/\($0)/own.csv" })
      #expect(both.names == both.tests.map(\.root))
      #expect(both.mostTestImages == 2)
      #expect(RunData([second]).tests.isEmpty)
    }
  }
}
