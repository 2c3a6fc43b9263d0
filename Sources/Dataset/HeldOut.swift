import Foundation
import Storage
import Tensors

/// Training identities set aside to choose settings by, so that the test images stay unseen.
package struct HeldOut: Sendable {
  /// What is still trained on, and what is not, each in the order of the images.
  package let train: [Sample], heldOut: [Sample]

  /// - Parameters:
  ///   - share: of the identities, above 0 and below 1; those held out are drawn among the ones that several cameras have seen,
  ///     since others cannot be searched for.
  ///   - seed: together with the identities and their cameras all that the draw depends on.
  /// - Throws: `Failure.data` where fewer than two identities could be held out, or trained on.
  package init(_ samples: [Sample], share: Double, seed: UInt64) throws {
    let cameras = Dictionary(grouping: samples, by: \.identity).mapValues { Set($0.map(\.camera)).count }
    var order = cameras.filter { $0.value > 1 }.keys.sorted()
    var random = CounterRandom(seed: seed, epoch: 3, purpose: .splitting)
    random.shuffle(&order)
    let wanted = Int((share * Double(cameras.count)).rounded()), count = max(2, wanted)
    guard order.count >= count, cameras.count - count >= 2 else {
      throw Failure.data(
        "of \(cameras.count) training identities \(order.count) were seen by several cameras: too few to hold \(count) out"
      )
    }
    let chosen = Set(order.prefix(count))
    (train, heldOut) = (
      samples.filter { !chosen.contains($0.identity) }, samples.filter { chosen.contains($0.identity) }
    )
  }

  /// Writes a CSV file that is a data set: what is held out is `test`, of which `data.split` decides what is searched for.
  package func write(to path: String) throws {
    let all = train + heldOut, hasTracks = all.contains { $0.track != nil }, hasFaces = all.contains { $0.face != nil }
    var text = "path,identity,camera,split\(hasTracks ? ",track" : "")\(hasFaces ? ",face" : "")\n"
    for (split, samples) in [("train", train), ("test", heldOut)] {
      for sample in samples {
        // Relative paths would count from the folder of the CSV file.
        let image = URL(fileURLWithPath: sample.path).standardizedFileURL.path
        text += "\(CSVTable.field(image)),\(sample.identity),\(sample.camera),\(split)"
        if hasTracks { text += ",\(sample.track.map(String.init) ?? "")" }
        if hasFaces { text += ",\(sample.face?.words ?? "")" }
        text += "\n"
      }
    }
    try AtomicFiles.write(text, to: path)
  }
}
