import Storage
import Tensors

/// A user's own data: a CSV file with a header. Columns may come in any order, further ones are passed over.
///
/// | column | also called | |
/// |---|---|---|
/// | `path` | `filename`, `file`, `image`, `image_id` | relative to the folder of the CSV file, or absolute |
/// | `identity` | `pid`, `label`, `id` | |
/// | `camera` | `camid`, `cam`, `camera_id`, `sequence` | may be missing: each image is then its own camera |
/// | `split` | | `train`, `query`, `gallery` (`database`), or `test` (`val`); may be missing |
/// | `is_query`, `is_gallery` | | true or false, in place of `split`, or of its rows for test |
/// | `face` | | where the face is, for `data.faces`: `x y width height` in pixels; may be missing or empty |
/// | `track` | `tracklet`, `tracklet_id` | frames of one track are searched with, and for, by the mean of their features; may be missing or empty. Without cameras each track has one of its own |
///
/// Where a row for test does not say whether it is a query, or there is no split at all, `RandomSplit` decides. Of names in
/// one row the first that the header has counts. Identities and cameras are integers, or, where one in the column is not,
/// names, which are numbered from 1 in sorted order (`CSVTable.labels`). Identity 0 is a person like any other here; rows of
/// a negative identity are dropped.
///
/// An image stands once in a split, always with the same identity and camera, and what is trained on is not searched for.
enum OwnData {
  static let paths = ["path", "filename", "file", "image", "image_id"]
  static let identities = ["identity", "pid", "label", "id"]
  /// The name that such a file has in folders of animals (WildlifeDatasets, AnimalCLEF).
  static let metadata = "metadata.csv"
  static let cameras = ["camera", "camid", "cam", "camera_id", "sequence"]

  /// - Parameter split: divides what the file does not.
  static func open(csv: String, split: RandomSplit) throws -> ReIDDataset {
    let table = try CSVTable(path: csv)
    let path = try table.requiredColumn(paths)
    let labels = (
      identity: try table.labels(at: table.requiredColumn(identities)), camera: try table.labels(ofFirst: cameras)
    )
    let identities = labels.identity.values, cameras = labels.camera?.values
    var tracks = try Tracks(table)
    let roles = try OwnRoles(table), faces = try FaceColumn(table)
    let folder = ImageList.folder(of: csv)
    var listed: [(sample: Sample, row: Int, role: Role)] = []
    var places: [Image: [Int]] = [:], firstOfTrack: [Int: Int] = [:]
    for row in 0..<table.count {
      let role = try roles.role(of: row), file = try table.text(row, path)
      if file.isEmpty { throw table.failure(row, "\(table.header[path]) is empty") }
      if identities[row] < 0 { continue }
      let image = Image(joinPath(folder, file)), before = places[image] ?? []
      for index in before {
        let other = listed[index]
        let isSame = other.sample.identity == identities[row] && (cameras.map { $0[other.row] == $0[row] } ?? true)
        // A query may stand in the gallery, where its own camera does not count.
        if isSame && [[.query, .gallery], [.gallery, .query]].contains([other.role, role]) { continue }
        let what = isSame ? "for \(other.role.rawValue)" : "with another identity or camera"
        let shown = Printable.line(file, limit: 200)
        throw table.failure(row, "\(shown) is listed in line \(table.line(of: other.row)) too, \(what)")
      }
      let track = try tracks.track(of: row, identities[row], cameras?[row])
      // Without cameras an image is one of its own, also where it stands twice, and so is a track.
      let alike = before.first ?? track.flatMap { firstOfTrack[$0] }
      let camera = cameras?[row] ?? alike.map { listed[$0].sample.camera } ?? listed.count + 1
      places[image, default: []].append(listed.count)
      if let track, firstOfTrack[track] == nil { firstOfTrack[track] = listed.count }
      let sample = Sample(
        path: joinPath(folder, file), identity: identities[row], camera: camera, track: track,
        face: try faces.face(of: row))
      listed.append((sample, row, role))
    }
    if listed.isEmpty { throw Failure.data(csv, "no image in it") }
    let parts = Role.divide(listed.map(\.sample), listed.map(\.role), split)
    for part in [parts.train, parts.query, parts.gallery] {
      guard let first = part.first, case .missing = Image(first.path) else { continue }
      throw table.failure(listed.first { $0.sample == first }!.row, "\(first.path) does not exist")
    }
    return ReIDDataset(
      name: "own data" + roles.remark(split), root: csv, train: parts.train, query: parts.query, gallery: parts.gallery,
      warnings: [labels.identity.warning, labels.camera?.warning].compactMap { $0 } + tracks.warnings,
      names: LabelNames(identities: labels.identity.names, cameras: labels.camera?.names ?? [:]))
  }

  /// The column of tracks. The same word with another identity or camera is another track.
  private struct Tracks {
    private struct Name: Hashable { let word: String, identity: Int, camera: Int? }
    private let table: CSVTable
    private let column: Int?
    private var numbers: [Name: Int] = [:]
    /// Rows of no track.
    private var single = 0

    init(_ table: CSVTable) throws {
      (self.table, column) = (table, try table.firstColumn(["track", "tracklet", "tracklet_id"]))
    }

    /// - Parameter camera: nil where the file has none.
    mutating func track(of row: Int, _ identity: Int, _ camera: Int?) throws -> Int? {
      guard let column else { return nil }
      let name = Name(word: try table.text(row, column).trimmed, identity: identity, camera: camera)
      if name.word.isEmpty {
        single += 1
        return nil
      }
      numbers[name] = numbers[name] ?? numbers.count
      return numbers[name]
    }

    var warnings: [String] {
      guard let column, !numbers.isEmpty else { return [] }
      let title = table.header[column]
      let shared = Dictionary(grouping: numbers.keys, by: \.word).filter { $0.value.count > 1 }.keys
      var warnings: [String] = []
      if let first = shared.min() {
        warnings.append(
          "column \(title): \(shared.count) of its names, such as \(Printable.line(first, limit: 60)), stand for several "
            + "identities or cameras; each is a track of its own")
      }
      if single > 0 { warnings.append("column \(title): empty for \(single) images, which are single ones") }
      return warnings
    }
  }

  /// `a.jpg`, `./a.jpg`, its absolute path and a link to it are one.
  private enum Image: Hashable {
    case file(FileIdentity), missing(String)

    init(_ path: String) { self = FileIdentity(path).map(Image.file) ?? .missing(path) }
  }
}
