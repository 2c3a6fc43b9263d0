import Dataset
import Evaluation
import Retrieval
import Service
import Tensors

/// An index of two rows by its description, or by its labels: what opens can be searched.
struct GalleryIndexTarget: FuzzReader {
  static let words = [
    "\"version\":1", "\"rows\":2", "\"columns\":2", "\"metric\":", "\"cosine\"", "\"euclidean\"", "\"origin\":",
    "\"settings\":{}",
    "\"manifest\":\"\"", "\"checkpoint\":\"\"", "null", "-1", "9223372036854775808", "1e3",
    "path,identity,camera,bytes,modified\n", "a.jpg,1,1,0,0\n", "\"\"", ",,,,", "-9223372036854775808", "\u{FEFF}",
  ]
  static let description = """
    {"columns":2,"metric":"cosine","origin":{"checkpoint":"run","manifest":"0","settings":{}},"rows":2,"version":1}
    """
  static let labels = "path,identity,camera,bytes,modified\na.jpg,1,1,3,5\n\"b,c.jpg\",-1,2,0,-7\n"
  private let folder: FuzzFolder, name: String

  /// - Parameter name: the file that is made of an input; the others are in order.
  init(_ folder: FuzzFolder, _ name: String) throws {
    (self.folder, self.name) = (folder, name)
    try folder.file("features.npy", FuzzBytes.npy(rows: 2, columns: 2))
    try folder.file("index.json", Array(Self.description.utf8))
    try folder.file("features.csv", Array(Self.labels.utf8))
  }

  func read(_ bytes: [UInt8]) throws {
    try folder.file(name, bytes)
    let index = try GalleryIndex(folder.path), gallery = try Gallery(index, parallelFor: runSerially)
    let matches = try gallery.nearest(3, to: [1, 0], parallelFor: runSerially)
    try FuzzFinding.require(matches.map(\.row) == [0, 1], "\(matches.map(\.row)) of two rows that are alike")
    try FuzzFinding.require(gallery.samples.count == 2, "\(gallery.samples.count) labels of two rows")
  }
}

/// A search over HTTP: a line of parameters (`top=3&camera=1`) and the body. Each is answered, a wrong one with a 4xx.
struct RequestTarget: FuzzReader {
  static let words =
    ["top=", "camera=", "not-camera=", "&", "1,2", "c1", "-1", "100", "101", "\n", "=", "9223372036854775808"]
    + PNGTarget.words + JPEGTarget.words
  private let service: SearchService

  init() throws {
    let samples = (1...2).map { Sample(path: "/nowhere/\($0).jpg", identity: $0, camera: $0) }
    let features = FeatureMatrix(rows: 2, columns: 3, values: [1, 0, 0, 0, 1, 0])
    var limits = SearchService.Limits()
    (limits.pixels, limits.rate) = (1 << 14, 1e6)
    let gallery = try Gallery(samples, features, .cosine, name: "features", parallelFor: runSerially)
    service = SearchService(gallery, limits, isLoopback: true, parallelFor: runSerially, log: { _ in }) { image in
      Resampling.resize(image, width: 1, height: 1).pixels.map { Float($0) }
    }
  }

  func read(_ bytes: [UInt8]) throws {
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }, body = Array(bytes.dropFirst(line.count + 1))
    let pairs = String(decoding: line, as: UTF8.self).split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
    }
    let head = HTTPHead(
      method: "POST", path: "/search", query: Dictionary(pairs) { $1 },
      headers: ["content-type": "image/png", "content-length": "\(body.count)"], client: "127.0.0.1")
    let answer = service.refusal(of: head) ?? service.answer(head, body: body)
    if answer.status == 200 { return }
    try FuzzFinding.require([400, 415, 422].contains(answer.status), "an answer of status \(answer.status)")
    throw Failure.data("status \(answer.status)")
  }
}
