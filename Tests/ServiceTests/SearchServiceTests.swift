import Dataset
import Evaluation
import Foundation
import Retrieval
import Service
import Synchronization
import TestSupport
import Testing

/// The service as its clients see it, the friendly and the others.
@Suite struct SearchServiceTests {
  private let folder: TemporaryFolder
  private let images: [Sample]
  private let gallery: Gallery

  /// Small pictures of colours are features of their own.
  private static func feature(_ image: RGBImage) -> [Float] {
    Resampling.resize(image, width: 4, height: 8).pixels.map { Float($0) / 255 }
  }

  init() throws {
    folder = try TemporaryFolder()
    let data = try Synthesizer(identities: 8, images: 2, cameras: 3, seed: 3).write(to: "\(folder.path)/people")
    images = data.gallery + data.query
    let features = try images.map { Self.feature(try ImageCodec.decode(path: $0.path)) }
    gallery = try Gallery(
      images, FeatureMatrix(rows: features.count, columns: 96, values: features.flatMap { $0 }), .cosine,
      name: "images",
      parallelFor: runSerially)
  }

  /// Serves while `body` asks.
  private func serve(
    _ limits: SearchService.Limits = Self.quick, _ bounds: HTTPServer.Limits = HTTPServer.Limits(),
    isLoopback: Bool = true,
    embed: @escaping (RGBImage) throws -> [Float] = Self.feature, _ body: (HTTPClient) throws -> Void
  ) throws {
    let service = SearchService(
      gallery, limits, isLoopback: isLoopback, parallelFor: runSerially, log: { _ in }, embed: embed)
    let server = try HTTPServer(host: "127.0.0.1", port: 0, limits: bounds, service)
    defer { server.stop() }
    try body(HTTPClient(port: server.port))
  }

  private static var quick: SearchService.Limits {
    var limits = SearchService.Limits()
    limits.rate = 10_000
    return limits
  }

  private func bytes(_ row: Int) throws -> [UInt8] { try ImageCodec.read(images[row].path) }

  /// What a match is called begins below the folder that all images are in: where identities have folders, with theirs.
  @Test(arguments: [
    (["/g/ann/0.png", "/g/ann/1.png"], "/g/ann/"), (["/g/ann/0.png", "/g/bob/0.png"], "/g/"),
    (["/g/ann/0.png", "/g/anna/0.png", "/g/1.png"], "/g/"), (["/a/0.png", "/b/0.png"], "/"),
    (["0.png", "a/1.png"], ""),
    ([], ""),
  ]) func theCommonFolder(_ paths: [String], _ folder: String) {
    let samples = paths.map { Sample(path: $0, identity: 0, camera: 0) }
    #expect(SearchService.commonFolder(samples) == folder)
  }

  @Test func anImageFindsItself() throws {
    try serve { client in
      for (row, type) in [(0, "image/jpeg"), (3, "application/octet-stream"), (5, "IMAGE/JPEG; charset=binary")] {
        let answer = try #require(try client.post("/search?top=4", bytes(row), type: type))
        #expect(answer.status == 200, "\(answer.text)")
        let matches = try #require(try answer.json()["matches"] as? [[String: Any]])
        #expect(matches.count == 4 && matches[0]["row"] as? Int == row && matches[0]["rank"] as? Int == 1)
        #expect(try abs(#require(matches[0]["distance"] as? Double)) < 1e-6)
        #expect(
          matches[0]["image"] as? String == "/images/\(row)" && matches[0]["camera"] as? Int == images[row].camera)
        // Below the folder of the gallery, and not where that lies.
        #expect(matches[0]["name"] as? String == String(images[row].path.dropFirst("\(folder.path)/people/".count)))
        #expect(!answer.text.contains(folder.path))
      }
      let camera = images[0].camera
      for (query, isKept) in [("camera=\(camera)", { $0 == camera }), ("not-camera=c\(camera)", { $0 != camera })]
        as [(String, (Int) -> Bool)]
      {
        let answer = try #require(try client.post("/search?top=100&\(query)", bytes(0)))
        let cameras = try #require(try answer.json()["matches"] as? [[String: Any]]).compactMap { $0["camera"] as? Int }
        #expect(cameras.count == images.count { isKept($0.camera) } && cameras.allSatisfy(isKept), "\(query)")
      }
    }
  }

  @Test func pagesAndPictures() throws {
    try serve { client in
      let page = try #require(try client.get("/"))
      #expect(page.status == 200 && page.text.contains("<title>Lineup search</title>"))
      #expect(page.head.contains("Content-Security-Policy: default-src 'none';") && page.head.contains("nosniff"))
      #expect(!page.text.contains("http://") && !page.text.contains("https://"))
      let health = try #require(try client.get("/health")?.json())
      #expect(health["images"] as? Int == images.count && health["cameras"] as? [Int] == [1, 2, 3])
      let picture = try #require(try client.get("/images/2"))
      #expect(picture.status == 200 && picture.head.contains("image/jpeg"))
      let shown = try ImageCodec.decode(bytes: picture.body, path: "picture")
      #expect(shown.width == 64 && shown.height == 128)
      let head = try #require(try client.get("/images/2", method: "HEAD"))
      #expect(head.status == 200 && head.body.isEmpty && head.head.contains("Content-Length: \(picture.body.count)"))
      try FileManager.default.removeItem(atPath: images[2].path)
      #expect(try client.get("/images/2")?.status == 404)
    }
  }

  @Test func onlyRowsCanBeNamed() throws {
    try serve { client in
      for target in [
        "/images/\(images.count)", "/images/-1", "/images/", "/images/1/", "/images/../health",
        "/images/..%2f..%2fetc%2fpasswd",
        "/images/0x1", "/images/%31%00", "/images/١", "/images/99999999999999999999999999", "/etc/passwd",
        "//etc/passwd",
        "/..", "/%2e%2e/%2e%2e/etc/passwd", "/search/", "/index.html", "/?/../x/images/0/../..", "/images/1;a",
      ] {
        let answer = try #require(try client.get(target), "\(target)")
        #expect(
          answer.status == 404 || target.hasPrefix("/?") && answer.status == 200 || target == "/images/%31%00",
          "\(target): \(answer.status)")
        #expect(!answer.text.contains("root:"), "\(target)")
      }
    }
  }

  @Test func whatCannotBeSearchedIsRefused() throws {
    var limits = Self.quick
    (limits.bytes, limits.pixels) = (40_000, 64 * 128)
    try serve(limits) { client in
      let image = try bytes(0)
      // The header of a PNG of 50,000 × 50,000 pixels.
      let bomb = try bombPNG(side: 50_000),
        larger = try ImageCodec.encode(
          RGBImage(width: 65, height: 128, pixels: [UInt8](repeating: 7, count: 65 * 128 * 3)), quality: 50,
          path: "image")
      for (status, target, body, type) in [
        (415, "/search", image, nil), (415, "/search", image, "text/html"),
        (415, "/search", image, "multipart/form-data"),
        (415, "/search", Array("GIF89a".utf8), "image/jpeg"), (400, "/search", [], "image/png"),
        (413, "/search", [UInt8](repeating: 0, count: 40_001), "image/jpeg"),
        (422, "/search", Array(image.prefix(image.count / 2)), "image/jpeg"), (422, "/search", bomb, "image/png"),
        (422, "/search", larger, "image/jpeg"), (422, "/search", [0xFF, 0xD8], "image/jpeg"),
        (400, "/search?top=0", image, "image/jpeg"), (400, "/search?top=101", image, "image/jpeg"),
        (400, "/search?top=1e3", image, "image/jpeg"), (400, "/search?camera=9", image, "image/jpeg"),
        (400, "/search?camera=", image, "image/jpeg"), (400, "/search?path=/etc/passwd", image, "image/jpeg"),
        (405, "/", image, "image/jpeg"), (404, "/upload", image, "image/jpeg"),
      ] as [(Int, String, [UInt8], String?)] {
        let answer = try client.post(target, body, type: type)
        #expect(answer?.status == status, "\(target) \(type ?? "") \(body.count): \(answer?.status ?? 0)")
        let said = try answer?.json()["error"]
        #expect(said is String)
      }
      let other = try #require(try client.get("/search"))
      #expect(other.status == 405 && other.head.contains("Allow: POST"))
      #expect(try client.get("/search", method: "OPTIONS")?.status == 405)
      #expect(try client.get("/health", method: "DELETE")?.status == 405)
      // And it still works.
      #expect(try client.post("/search", image)?.status == 200)
    }
  }

  private func bombPNG(side: UInt32) throws -> [UInt8] {
    func big(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian, Array.init) }
    let chunk = Array("IHDR".utf8) + big(side) + big(side) + [8, 2, 0, 0, 0]
    let sum = ~chunk.reduce(UInt32.max) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + big(13) + chunk + big(sum)
  }

  @Test func whatIsNoRequestIsRefused() throws {
    try serve { client in
      let long = String(repeating: "a", count: 1 << 20)
      for (text, statuses) in [
        ("rubbish\r\n\r\n", [400, 0]), ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", [400, 505]),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: \(long)\r\n\r\n", [413, 431]),
        ("GET /\(long) HTTP/1.1\r\nHost: localhost\r\n\r\n", [413, 414, 431]),
        (
          "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: -5\r\n\r\n",
          [400, 411, 413]
        ),
        (
          "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99999999999999999999\r\n\r\n",
          [400, 411, 413]
        ),
        ("POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n\r\n", [411]),
        (
          "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
          [411]
        ),
        (
          "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n12345",
          [400]
        ),
        ("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", [400]),
        ("GET /health?top=1&top=2 HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
      ] {
        let answer = try client.send(Array(text.utf8))
        // 0: it is closed without a word.
        #expect(statuses.contains(answer?.status ?? 0), "\(text.prefix(120)): \(answer?.status ?? 0)")
      }
      #expect(try client.get("/health")?.status == 200)
    }
  }

  /// A page of another site can give this host a name of its own.
  @Test func otherNamesForThisHostAreRefused() throws {
    for (isLoopback, host, status) in [
      (true, "evil.example", 403), (true, "evil.example:80", 403), (true, "127.0.0.1.evil.example", 403),
      (true, "LOCALHOST:80", 200), (true, "127.0.0.1", 200), (true, "[::1]:80", 200), (false, "search.example", 200),
    ] {
      try serve(isLoopback: isLoopback) { client in
        let answer = try client.get("/health", host: host)
        #expect(answer?.status == status, "\(host)")
      }
    }
  }

  @Test func aClientThatAsksTooOftenWaits() throws {
    var limits = Self.quick
    limits.rate = 0.01
    try serve(limits) { client in
      let answers = try (0..<2).map { _ in try client.post("/search", try bytes(0)) }
      #expect(answers.map { $0?.status } == [200, 429])
      #expect(
        answers[1]?.head.contains("Retry-After: 100") == true || answers[1]?.head.contains("Retry-After: 99") == true)
    }
  }

  /// One is embedded, one waits, the third is sent away.
  @Test func aFullQueueRefuses() throws {
    var limits = Self.quick
    limits.waiting = 1
    let gate = DispatchSemaphore(value: 0), entered = DispatchSemaphore(value: 0)
    try serve(
      limits,
      embed: { image in
        entered.signal()
        gate.wait()
        return Self.feature(image)
      }
    ) { client in
      let image = try bytes(0), status = Mutex(0), group = DispatchGroup()
      DispatchQueue.global().async(group: group) {
        let answer = try? client.post("/search", image)
        status.withLock { $0 = answer?.status ?? -1 }
      }
      entered.wait()
      #expect(try probe(client, image) == 0)
      #expect(try probe(client, image) == 503)
      for _ in 0..<3 { gate.signal() }
      group.wait()
      #expect(status.withLock { $0 } == 200)
    }
  }

  /// The status of a search that is not waited for: 0 where it would have to be.
  private func probe(_ client: HTTPClient, _ image: [UInt8]) throws -> Int {
    let descriptor = try client.open()
    defer { close(descriptor) }
    var limit = timeval(tv_sec: 0, tv_usec: 200_000)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let head =
      "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: \(image.count)\r\n\r\n"
    _ = (Array(head.utf8) + image).withUnsafeBytes {
      send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
    }
    return HTTPClient.answer(client.read(descriptor))?.status ?? 0
  }

  @Test func connectionsAreBounded() throws {
    var bounds = HTTPServer.Limits()
    (bounds.connectionsOfAddress, bounds.seconds, bounds.idleSeconds) = (3, 1, 30)
    try serve(Self.quick, bounds) { client in
      let open = try (0..<3).map { _ in try client.open() }
      defer { for descriptor in open { close(descriptor) } }
      for descriptor in open { _ = send(descriptor, "GET", 3, Int32(MSG_NOSIGNAL)) }
      usleep(100_000)
      let refused = try client.get("/health")
      #expect(refused == nil)
      // They are closed though they go on sending, and then there is room again.
      #expect(open.allSatisfy { client.read($0).isEmpty })
      var status: Int?
      for _ in 0..<100 where status != 200 {
        usleep(20_000)
        status = try client.get("/health")?.status
      }
      #expect(status == 200)
    }
  }
}
