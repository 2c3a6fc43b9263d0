import Evaluation
import Testing

@Suite struct TrackMeansTests {
  @Test func framesOfATrackBecomeTheirMean() throws {
    let features = try LabelledFeatures(
      name: "x", matrix: FeatureMatrix(rows: 5, columns: 2, values: [1, 2, 10, 20, 3, 6, 5, 5, 5, 1]),
      paths: ["a", "b", "c", "d", "e"], identities: [1, 2, 1, 1, 1], cameras: [7, 8, 7, 9, 7])
    let means = features.meansOfTracks([3, nil, 3, 4, 3])
    #expect(means.matrix == FeatureMatrix(rows: 3, columns: 2, values: [3, 3, 10, 20, 5, 5]))
    #expect(means.paths == ["a", "b", "d"])
    #expect(means.identities == [1, 2, 1])
    #expect(means.cameras == [7, 8, 9])
    #expect(features.meansOfTracks([nil, nil, nil, nil, nil]).matrix == features.matrix)
  }
}
