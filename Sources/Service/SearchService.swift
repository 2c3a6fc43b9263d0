import Dataset
import Evaluation
import Foundation
import Retrieval
import Storage
import Synchronization
import Tensors

/// A gallery behind HTTP: `GET /` is a page to drop an image on, `POST /search` its matches as JSON, `GET /images/N` the picture of
/// a row, `GET /health` what there is.
///
/// A client can name rows, never files. One image at a time is decoded and embedded, and a few wait; everything else is refused
/// with the status that says so: 400 (a parameter), 403 (another site's name for this host), 404, 405, 411, 413 (bytes), 415 (not
/// JPEG or PNG), 422 (damaged, or too many pixels), 429 (a client's rate), 503 (busy).
package final class SearchService: HTTPHandler {
  package struct Limits: Sendable {
    /// Of an image that is sent: its file, and width times height.
    package var bytes = 4 << 20, pixels = 1 << 24
    /// Searches a second of one client, and how many of them at once. Pictures of rows are 20 times that.
    package var rate = 5.0
    /// Searches that wait for their turn.
    package var waiting = 8
    /// Matches of a search.
    package var matches = 100

    package init() {}
  }

  private let gallery: Gallery
  /// That all of its images are in.
  private let folder: String
  private let limits: Limits
  private let isLoopback: Bool
  private let searches: RateLimit, pictures: RateLimit
  private let searching: Turn, drawing = Turn(waiting: 32)
  private let page = SearchPage()
  private let log: @Sendable (String) -> Void
  /// Used in turn.
  private nonisolated(unsafe) let embed: (RGBImage) throws -> [Float], parallelFor: ParallelFor

  /// - Parameters:
  ///   - isLoopback: whether only this machine can connect. A page of another site that a browser here has open must not do so
  ///     under a name of its own (DNS rebinding), so then no other names for this host are taken.
  ///   - embed: the feature of an image; one at a time, on any thread.
  ///   - log: what went wrong here, in a line.
  package init(
    _ gallery: Gallery, _ limits: Limits, isLoopback: Bool, parallelFor: @escaping ParallelFor,
    log: @escaping @Sendable (String) -> Void, embed: @escaping (RGBImage) throws -> [Float]
  ) {
    (self.gallery, self.limits, self.isLoopback, self.parallelFor) = (gallery, limits, isLoopback, parallelFor)
    (self.log, self.embed, folder) = (log, embed, Self.commonFolder(gallery.samples))
    searches = RateLimit(rate: limits.rate, saved: 2 * limits.rate)
    pictures = RateLimit(rate: 20 * limits.rate, saved: Double(10 * limits.matches))
    searching = Turn(waiting: limits.waiting)
  }

  // MARK: - Routes

  private enum Route {
    case page, health, search, image(Int)

    /// nil where nothing is there.
    init?(_ path: String) {
      switch path {
      case "/": self = .page
      case "/health": self = .health
      case "/search": self = .search
      default:
        let digits = path.hasPrefix("/images/") ? path.dropFirst("/images/".count) : ""
        guard (1...18).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
          return nil
        }
        self = .image(Int(digits)!)
      }
    }

    var methods: [String] { if case .search = self { ["POST"] } else { ["GET", "HEAD"] } }
  }

  package func refusal(of head: HTTPHead) -> HTTPResponse? {
    if isLoopback && !Self.isLocal(head.headers["host"] ?? "localhost") {
      return .refusal(403, "this service is for localhost")
    }
    guard let route = Route(head.path) else { return .refusal(404, "there is nothing at \(head.path)") }
    guard route.methods.contains(head.method) else {
      let methods = route.methods.joined(separator: ", ")
      return .refusal(405, "\(head.path) takes \(methods)", headers: ["Allow": methods])
    }
    switch route {
    case .search:
      if let seconds = searches.wait(head.client) { return tooMany(seconds) }
      return refusal(ofSearch: head)
    case .image:
      return pictures.wait(head.client).map(tooMany)
    case .page, .health:
      return nil
    }
  }

  private func tooMany(_ seconds: Double) -> HTTPResponse {
    .refusal(429, "too many requests", headers: ["Retry-After": "\(Int(seconds.rounded(.up)))"])
  }

  private func refusal(ofSearch head: HTTPHead) -> HTTPResponse? {
    guard ["image/jpeg", "image/png", "application/octet-stream"].contains(head.contentType) else {
      return .refusal(415, "expected the bytes of a JPEG or PNG file, as image/jpeg or image/png")
    }
    if head.headers["transfer-encoding"] != nil { return nil }  // which the server refuses
    guard let length = head.contentLength else { return .refusal(411, "the image needs a Content-Length") }
    guard length > 0 else { return .refusal(400, "the body is empty; expected the bytes of a JPEG or PNG file") }
    guard length <= limits.bytes else {
      return .refusal(413, "\(length) bytes; an image may have \(limits.bytes)")
    }
    do {
      _ = try options(head)
      return nil
    } catch {
      return .refusal(400, "\(error)")
    }
  }

  package func answer(_ head: HTTPHead, body: [UInt8]) -> HTTPResponse {
    switch Route(head.path) {
    case .page: page.response
    case .health: HTTPResponse(json: Health(gallery, limits))
    case .search: searching.take { search(head, body) } ?? busy
    case .image(let row): gallery.samples.indices.contains(row) ? drawing.take { picture(row) } ?? busy : noImage(row)
    case nil: .refusal(404, "there is nothing at \(head.path)")
    }
  }

  private var busy: HTTPResponse { .refusal(503, "busy, try again", headers: ["Retry-After": "1"]) }
  private func noImage(_ row: Int) -> HTTPResponse {
    .refusal(404, "no image \(row); there are \(gallery.samples.count), counted from 0")
  }

  /// The name in a header `Host`, with or without a port.
  private static func isLocal(_ host: String) -> Bool {
    let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
    return ["localhost", "127.0.0.1", "[::1]"].contains(name.lowercased())
  }

  // MARK: - Answers

  private struct Health: Encodable {
    let status = "ok", images: Int, cameras: [Int], cameraNames: [String], metric: String, maximumBytes: Int,
      maximumMatches: Int

    init(_ gallery: Gallery, _ limits: Limits) {
      (images, cameras, metric) = (gallery.samples.count, gallery.cameras, gallery.metric.rawValue)
      cameraNames = cameras.map(gallery.names.camera)
      (maximumBytes, maximumMatches) = (limits.bytes, limits.matches)
    }
  }

  private struct Matches: Encodable {
    struct Match: Encodable {
      let rank: Int, row: Int, distance: Double, identity: Int, camera: Int
      /// What these are called, where they have names.
      let identityName: String?, cameraName: String?
      /// The file below the folder that all images of the gallery are in.
      let name: String
      /// Where its picture is.
      let image: String
    }
    let matches: [Match]
    let metric: String
  }

  private func options(_ head: HTTPHead) throws -> (count: Int, filter: CameraFilter) {
    for name in head.query.keys.sorted() where !["top", "camera", "not-camera"].contains(name) {
      throw Failure.usage("no parameter \(Printable.line(name, limit: 60)); there are top, camera, not-camera")
    }
    let top = head.query["top"] ?? "10"
    guard let count = Int(top), (1...limits.matches).contains(count) else {
      throw Failure.usage("top is \(Printable.line(top, limit: 60)); expected 1 to \(limits.matches)")
    }
    func cameras(_ name: String) throws -> Set<Int>? {
      try head.query[name].map {
        try CameraFilter.cameras($0, among: gallery.cameras, named: gallery.names.cameras, of: name)
      }
    }
    return (count, CameraFilter(only: try cameras("camera"), without: try cameras("not-camera") ?? []))
  }

  private func search(_ head: HTTPHead, _ body: [UInt8]) -> HTTPResponse {
    guard ImageCodec.isImage(body) else { return .refusal(415, "neither a JPEG nor a PNG file") }
    let image: RGBImage
    do {
      let (width, height) = try ImageCodec.size(of: body, path: "image")
      guard width * height <= limits.pixels else {
        return .refusal(422, "\(width) × \(height) pixels; an image may have \(limits.pixels)")
      }
      image = try ImageCodec.decode(bytes: body, path: "image")
    } catch {
      return .refusal(422, "\(error)")
    }
    do {
      let (count, filter) = try options(head)
      let found = try gallery.nearest(count, to: try embed(image), filter, parallelFor: parallelFor)
      let matches = found.enumerated().map { rank, match in
        let sample = gallery.samples[match.row]
        return Matches.Match(
          rank: rank + 1, row: match.row, distance: match.distance, identity: sample.identity, camera: sample.camera,
          identityName: gallery.names.identities[sample.identity], cameraName: gallery.names.cameras[sample.camera],
          name: String(sample.path.dropFirst(folder.count)), image: "/images/\(match.row)")
      }
      return HTTPResponse(json: Matches(matches: matches, metric: gallery.metric.rawValue))
    } catch {
      log("a search failed: \(error)")
      return .refusal(500, "the search failed; the service's log says why")
    }
  }

  /// The folder, with its slash, that all of these files are in.
  package static func commonFolder(_ samples: [Sample]) -> String {
    func folder(_ path: some StringProtocol) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "" }
    var common = folder(samples.first?.path ?? "")
    for sample in samples {
      while !sample.path.hasPrefix(common) { common = folder(common.dropLast()) }
    }
    return common
  }

  private func picture(_ row: Int) -> HTTPResponse {
    let path = gallery.samples[row].path
    do {
      let bytes = try Thumbnail.jpeg(of: try ImageCodec.decode(path: path), height: 256, path: path)
      return HTTPResponse(
        status: 200, type: "image/jpeg", headers: ["Cache-Control": "private, max-age=3600"], body: bytes)
    } catch {
      log("image \(row): \(error)")
      return .refusal(404, "image \(row) is not there any more, or damaged")
    }
  }
}
