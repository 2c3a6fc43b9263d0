import Storage
import Tensors

/// What is known of generated pictures, as own data (`OwnData`), a row a picture:
///
/// | column | |
/// |---|---|
/// | `path`, `identity`, `camera`, `split` | as the folders and names have them |
/// | `orientation` | which side of the person is seen: `front`, `back`, `left`, `right` |
/// | `attributes` | a digit for each of long sleeves, a pattern above, trousers, skirt, backpack, shoulder bag, long hair, bald, cap: 1 where it holds |
/// | `group` | the number of the two to four people of one split who walk together; empty for one who walks alone |
/// | `occluded` | 1 where something stands in front of the person, else 0 |
/// | `part` | what is left of the picture: `whole`, `upperHalf` and so on |
/// | `face` | `x y width height` of the ellipse of the head, in pixels from the upper left corner; empty where no face is seen |
struct SyntheticLabels {
  /// The file's name, beside the folders of the pictures.
  static let file = "labels.csv"
  private(set) var text = "path,identity,camera,split,orientation,attributes,group,occluded,part,face\n"

  /// Where a picture stands in the data set.
  struct Place {
    let split: ReIDDataset.Split, identity: Int, camera: Int, number: Int

    /// Below the data set's folder, named as Market-1501 names its files, `query/0001_c1s1_000001_00.jpg`.
    var path: String {
      func padded(_ value: Int, _ width: Int) -> String {
        String(repeating: "0", count: max(width - String(value).count, 0)) + String(value)
      }
      let name = "\(identity < 0 ? "-1" : padded(identity, 4))_c\(camera)s1_\(padded(number, 6))_00.jpg"
      return joinPath(FolderLayout.market1501.folder(of: split), name)
    }
  }

  /// - Parameters:
  ///   - part: that the picture shows; nil for the whole.
  ///   - group: nil for one who walks alone.
  mutating func add(
    _ place: Place, _ person: Appearance, _ picture: Scene.Picture, isOccluded: Bool, part: BodyPart?,
    group: Int? = nil
  ) {
    let face = picture.face?.words ?? ""
    text +=
      "\(place.path),\(place.identity),\(place.camera),\(place.split.rawValue),\(picture.view.rawValue),"
      + "\(person.attributes),\(group.map(String.init) ?? ""),\(isOccluded ? 1 : 0),\(part ?? .whole),\(face)\n"
  }

  /// Groups of the identities of each range, two to four who follow one another; a last one may be left alone.
  /// - Returns: the number of the group of each identity that is in one.
  static func groups(of ranges: [ClosedRange<Int>], _ random: CounterRandom) -> [Int: Int] {
    var random = random, groups: [Int: Int] = [:], number = 0
    for range in ranges {
      var first = range.lowerBound
      while first < range.upperBound {
        let last = min(first + 1 + random.integer(below: 3), range.upperBound)
        number += 1
        for identity in first...last { groups[identity] = number }
        first = last + 1
      }
    }
    return groups
  }
}
