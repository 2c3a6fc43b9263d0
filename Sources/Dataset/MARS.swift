import Foundation
import Storage
import Tensors

/// MARS (Zheng et al., ECCV 2016), tracks of people: `bbox_train/<name's first four characters>/<name>.jpg`, `bbox_test`, and
/// in `info` the lists of names and the tables of tracks, whose rows are first frame, last frame, identity and camera.
///
/// All frames of training tracks are trained on. Queries and gallery are tracks; identity −1 is junk, 0 a distractor.
enum MARS {
  static let places = ["", "mars", "MARS"]
  static let train = "bbox_train"
  private static let test = "bbox_test"

  static func open(at root: String) throws -> ReIDDataset {
    let info = joinPath(root, "info")
    let training = try tracks(
      info, "tracks_train_info.mat", "track_train_info", "train_name.txt", joinPath(root, train), 0)
    let testing = try tracks(
      info, "tracks_test_info.mat", "track_test_info", "test_name.txt", joinPath(root, test), training.count)
    let queries = try MATFile(path: joinPath(info, "query_IDX.mat")).variable("query_IDX")
    let list = try queries.integers(), chosen = Set(list)
    guard chosen.count == list.count else { throw queries.failure("a track is listed twice") }
    if let wrong = chosen.first(where: { !(1...testing.count).contains($0) }) {
      throw queries.failure("\(wrong) is none of the \(testing.count) tracks of the test")
    }
    let junk = chosen.filter { testing[$0 - 1].isEmpty }
    let warnings = junk.min().map {
      ["\(junk.count) of \(chosen.count) tracks that are searched for are junk, such as track \($0): they are left out"]
    }
    return ReIDDataset(
      name: "MARS", root: root, train: training.flatMap { $0 },
      query: testing.indices.filter { chosen.contains($0 + 1) }.flatMap { testing[$0] },
      gallery: testing.indices.filter { !chosen.contains($0 + 1) }.flatMap { testing[$0] }, warnings: warnings ?? [])
  }

  /// The frames of each row; none of junk.
  /// - Parameter first: the number of the first track.
  private static func tracks(
    _ info: String, _ table: String, _ variable: String, _ list: String, _ folder: String, _ first: Int
  ) throws -> [[Sample]] {
    let value = try MATFile(path: joinPath(info, table)).variable(variable)
    guard value.shape.count == 2, value.shape[1] == 4, value.shape[0] > 0 else {
      throw value.failure("\(value.shape) elements, expected rows of first frame, last frame, identity and camera")
    }
    let names = try InputFile.text(joinPath(info, list), limit: 1 << 28).split(whereSeparator: \.isNewline)
    var lines: [Substring: Int] = [:]
    for (index, name) in names.enumerated() {
      if let first = lines.updateValue(index + 1, forKey: name) {
        throw Failure.data(
          "\(joinPath(info, list)):\(index + 1)", "\(Printable.line(String(name), limit: 60)) is line \(first), too")
      }
    }
    let columns = try value.integers(), rows = value.shape[0]
    var owners = [Int?](repeating: nil, count: names.count)
    return try (0..<rows).map { row in
      let (begin, end) = (columns[row], columns[rows + row])
      guard begin >= 1, begin <= end, end <= names.count else {
        throw value.failure("row \(row + 1): frames \(begin) to \(end), but \(list) has \(names.count) names")
      }
      let (identity, camera) = (columns[2 * rows + row], columns[3 * rows + row])
      let frames = try (begin - 1..<end).map { index in
        if let other = owners[index] {
          throw value.failure("row \(row + 1): frame \(index + 1) is one of row \(other + 1), too")
        }
        owners[index] = row
        let name = String(names[index]).trimmed
        guard let told = FrameName(name), told == FrameName(identity: identity, camera: camera) else {
          throw value.failure(
            "row \(row + 1): identity \(identity) and camera \(camera), but line \(index + 1) of \(list) is "
              + "\"\(Printable.line(name, limit: 60))\", expected \(Self.beginning(identity, camera))…")
        }
        let path = joinPath(joinPath(folder, String(name.prefix(4))), name)
        return Sample(path: path, identity: identity, camera: camera, track: first + row)
      }
      return identity < 0 ? [] : frames
    }
  }

  private static func beginning(_ identity: Int, _ camera: Int) -> String {
    identity < 0 ? "00-1C\(camera)T" : String(format: "%04dC%dT", identity, camera)
  }

  /// Identity (four characters, `00-1` is junk) and camera of a name as `0001C1T0001F001.jpg`.
  private struct FrameName: Equatable {
    let identity: Int, camera: Int

    init(identity: Int, camera: Int) { (self.identity, self.camera) = (identity, camera) }

    init?(_ name: String) {
      guard !name.contains("/"), let mark = name.firstIndex(of: "C"),
        name.distance(from: name.startIndex, to: mark) == 4
      else { return nil }
      let digits = name[name.index(after: mark)...].prefix { $0.isASCII && $0.isNumber }
      guard let identity = name[..<mark] == "00-1" ? -1 : Int(name[..<mark]), let camera = Int(digits) else {
        return nil
      }
      self.init(identity: identity, camera: camera)
    }
  }
}
