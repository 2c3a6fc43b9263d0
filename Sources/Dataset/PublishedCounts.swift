/// What the authors of data sets counted: images (of MARS, tracks) and identities of training, queries and gallery.
package struct PublishedCounts: Sendable, Equatable {
  package let name: String
  /// Of each split.
  package let images: [Int], identities: [Int?]

  private init(_ name: String, _ images: [Int], _ identities: [Int?]) {
    (self.name, self.images, self.identities) = (name, images, identities)
  }

  /// Galleries without junk, as they are read here. Distractors of Market-1501 are one identity more, 0.
  package static let all = [
    PublishedCounts("Market-1501", [12_936, 3_368, 15_913], [751, 750, 751]),
    PublishedCounts("DukeMTMC-reID", [16_522, 2_228, 17_661], [702, 702, 1_110]),
    PublishedCounts("Occluded-Duke", [15_618, 2_210, 17_661], [702, 519, 1_110]),
    PublishedCounts("CUHK03-NP, detected", [7_365, 1_400, 5_332], [767, 700, 700]),
    PublishedCounts("CUHK03-NP, labeled", [7_368, 1_400, 5_328], [767, 700, 700]),
    PublishedCounts("MSMT17, train", [30_248, 11_659, 82_161], [1_041, 3_060, 3_060]),
    PublishedCounts("MSMT17, train and val", [32_621, 11_659, 82_161], [1_041, 3_060, 3_060]),
    PublishedCounts("VeRi-776", [37_778, 1_678, 11_579], [576, 200, 200]),
    PublishedCounts("VehicleID, 800 vehicles", [113_346, 5_693, 800], [13_164, 800, 800]),
    PublishedCounts("VehicleID, 1,600 vehicles", [113_346, 11_777, 1_600], [13_164, 1_600, 1_600]),
    PublishedCounts("VehicleID, 2,400 vehicles", [113_346, 17_377, 2_400], [13_164, 2_400, 2_400]),
    PublishedCounts("VIPeR", [632, 316, 316], [316, 316, 316]),
    PublishedCounts("PRID 2011, single shot", [200, 100, 649], [100, 100, 649]),
    PublishedCounts("MARS", [8_298, 1_980, 9_330], [625, 626, 622]),
    PublishedCounts("LaST", [71_248, 10_176, 125_353], [5_000, nil, nil]),
  ]

  /// The data set that has these images, or nearly so: within a hundredth in every split; nil where there is none.
  package static func nearest(_ dataset: ReIDDataset) -> PublishedCounts? {
    let found = ReIDDataset.Split.allCases.map { dataset.units($0).count }
    func distance(_ counts: PublishedCounts) -> Int { zip(counts.images, found).reduce(0) { $0 + abs($1.0 - $1.1) } }
    return all.filter { zip($0.images, found).allSatisfy { abs($0 - $1) * 100 <= $0 } }
      .min { distance($0) < distance($1) }
  }
}
