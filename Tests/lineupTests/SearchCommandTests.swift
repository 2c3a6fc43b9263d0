import Foundation
import Testing

extension UntimedCommandTests {
  /// `lineup index`, `search` and `serve` as a user sees them.
  @Suite struct SearchCommandTests {
    private let scratch: Scratch
    private let run: String, data: String

    init() throws {
      scratch = try Scratch()
      (run, data) = (scratch("run"), try scratch.dataset())
      try Command.succeed(
        ["train", "--data", data, "--output", run] + Tiny.training + Tiny.settings("schedule.maxSteps=1"))
    }

    private var gallery: String { "\(data)/bounding_box_test" }
    private func images() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: gallery).sorted().map { "\(gallery)/\($0)" }
    }

    private struct Found: Decodable {
      struct Match: Decodable { let rank: Int, row: Int, distance: Double, identity: Int, camera: Int, path: String }
      let query: String, metric: String, matches: [Match]
    }

    private func search(_ gallery: String, _ options: String...) throws -> [Found] {
      let json = scratch("found.json")
      try Command.succeed(["search", "--checkpoint", run, "--gallery", gallery, "--json", json] + options)
      return try JSONDecoder().decode([Found].self, from: Data(contentsOf: URL(fileURLWithPath: json)))
    }

    @Test func anIndexFindsWhatItsFolderDoes() throws {
      let images = try images(), index = scratch("index")
      let made = try Command.succeed(["index", "--checkpoint", run, "--gallery", gallery, "--output", index, "--faiss"])
      #expect(
        made.output.contains("\(images.count) images × 32, euclidean: \(images.count) new, 0 changed, 0 kept, 0 gone"))
      let found = try search(index, "--query", images[3], images[0], "--top", "5")
      #expect(
        found.map(\.query) == [images[3], images[0]] && found.allSatisfy { $0.matches.map(\.rank) == [1, 2, 3, 4, 5] })
      #expect(
        found[0].matches[0].row == 3 && found[0].matches[0].distance < 1e-6 && found[0].matches[0].path == images[3])
      // Embedded alone and in a batch an image has the same feature.
      #expect(
        try search(gallery, "--query", images[3], "--top", "5")[0].matches.map(\.row) == found[0].matches.map(\.row))
      let filtered = try search(index, "--query", images[3], "--camera", "c2", "--top", "100")
      #expect(filtered[0].matches.allSatisfy { $0.camera == 2 } && !filtered[0].matches.isEmpty)
      // What other commands read.
      let scored = try Command.run(["score", "--query", "\(index)/features.npy", "--gallery", "\(index)/features.npy"])
      #expect(scored.code == 0, "\(scored.errors)")
      let html = scratch("found.html")
      try Command.succeed(["search", "--checkpoint", run, "--gallery", index, "--query", images[0], "--html", html])
      let page = try scratch.text("found.html")
      #expect(page.components(separatedBy: "src=\"data:image/jpeg;base64,").count == 12 && !page.contains("http"))
    }

    @Test func peopleInFoldersAndNamesAreFound() throws {
      let images = try images(), people = scratch("people"), index = scratch("index")
      for (name, image) in [("ann", images[0]), ("bob", images[1])] {
        try FileManager.default.createDirectory(atPath: "\(people)/\(name)", withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: image, toPath: "\(people)/\(name)/1.jpg")
      }
      let list = scratch("list.csv")
      try "pid,filename,cam\nbob,people/bob/1.jpg,door\nann,people/ann/1.jpg,hall\n"
        .write(toFile: list, atomically: false, encoding: .utf8)
      let inFolders = try search(people, "--query", images[1])[0].matches[0]
      #expect(inFolders.path == "\(people)/bob/1.jpg" && inFolders.identity == 2 && inFolders.camera == -1)
      try Command.succeed(["index", "--checkpoint", run, "--gallery", list, "--output", index], ranks: 2)
      let found = try Command.succeed(
        ["search", "--checkpoint", run, "--gallery", index, "--query", images[1], "--camera", "door"]
      ).output
      #expect(found.contains(" bob    door  \(people)/bob/1.jpg") && !found.contains("ann"))
      let listed = try search(index, "--query", images[1], "--camera", "1")[0].matches
      #expect(listed.map(\.path) == ["\(people)/bob/1.jpg"] && listed[0].identity == 2 && listed[0].row == 0)
    }

    @Test func anIndexFollowsItsFolder() throws {
      let images = try images(), index = scratch("index"),
        arguments = ["index", "--checkpoint", run, "--gallery", gallery, "--output", index]
      try Command.succeed(arguments, ranks: 2)
      #expect(try Command.succeed(arguments).output.contains("nothing has changed"))
      try FileManager.default.removeItem(atPath: images[0])
      try FileManager.default.copyItem(atPath: images[1], toPath: "\(gallery)/0099_c1s1_000000_00.jpg")
      try scratch.damage(images[2])
      let outcome = try Command.run(arguments)
      #expect(
        outcome.output.contains("1 new, 0 changed, \(images.count - 2) kept, 2 gone")
          || outcome.output.contains("kept"), "\(outcome.output)")
      #expect(outcome.code == 0 && "\(outcome.output)\(outcome.errors)".contains("left out: \(images[2])"))
      #expect(try search(index, "--query", images[1], "--top", "100")[0].matches.count == images.count - 1)
      // Another network's features do not stand among these.
      let other = scratch("other")
      try Command.succeed(
        ["train", "--data", data, "--output", other] + Tiny.training + Tiny.settings("schedule.maxSteps=2", "seed=5"))
      for command in [
        ["index", "--checkpoint", other, "--gallery", gallery, "--output", index],
        ["search", "--checkpoint", other, "--gallery", index, "--query", images[1]],
        ["serve", "--checkpoint", other, "--index", index, "--port", "0"],
      ] {
        let outcome = try Command.run(command)
        #expect(
          outcome.code == 64 && outcome.complaints.count == 1 && outcome.errors.contains("its features are of \(run)"))
      }
      let flipped = try Command.run(
        ["search", "--checkpoint", run, "--gallery", index, "--query", images[1], "--set", "evaluation.flip=true"])
      #expect(flipped.code == 64 && flipped.errors.contains("evaluation.flip=false, not true"), "\(flipped.errors)")
    }

    @Test func whatCannotBeDoneIsRefused() throws {
      let images = try images(), index = scratch("index")
      try Command.succeed(["index", "--checkpoint", run, "--gallery", gallery, "--output", index])
      try "text".write(toFile: scratch("text.jpg"), atomically: false, encoding: .utf8)
      func refused(
        _ code: Int32, _ reason: String, _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation
      ) throws {
        let outcome = try Command.run(arguments)
        #expect(
          outcome.code == code && outcome.complaints.count == 1 && outcome.errors.contains(reason),
          "\(arguments): \(outcome.code) \(outcome.errors)", sourceLocation: sourceLocation)
      }
      let search = ["search", "--checkpoint", run, "--gallery", index, "--query"]
      try refused(65, "No such file", search + [scratch("none.jpg")])
      try refused(65, "neither a JPEG nor a PNG", search + [scratch("text.jpg")])
      try refused(64, "no image is of camera 9; there are 1, 2", search + [images[0], "--camera", "c9"])
      try refused(64, "--not-camera", search + [images[0], "--not-camera", "door"])
      try refused(64, "--top", search + [images[0], "--top", "0"])
      try refused(64, "would replace", search + [images[0], "--json", images[0]])
      try refused(64, "is an index, which has no other files", search + [images[0], "--html", "\(index)/page.html"])
      try refused(
        64, "blurred",
        search.dropLast(3) + ["--gallery", gallery, "--query", images[0], "--set", "data.faces.test=blurred"])
      try refused(
        65, "no such folder", ["search", "--checkpoint", run, "--gallery", scratch("none"), "--query", images[0]])
      try refused(
        64, "something else than an index", ["index", "--checkpoint", run, "--gallery", gallery, "--output", data])
      try refused(64, "holds a run", ["index", "--checkpoint", run, "--gallery", gallery, "--output", run])
      // An index that shares its folder with anything, its own gallery not least, is left alone.
      let photos = "\(index)/photos"
      try FileManager.default.createDirectory(atPath: photos, withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: images[0], toPath: "\(photos)/a.jpg")
      try refused(
        64, "something else than an index (photos)",
        ["index", "--checkpoint", run, "--gallery", photos, "--output", index])
      #expect(FileManager.default.fileExists(atPath: "\(photos)/a.jpg"))
      try FileManager.default.removeItem(atPath: photos)
      // Through a link, which stays one.
      let link = scratch("link")
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: index)
      try Command.succeed(["index", "--checkpoint", run, "--gallery", gallery, "--output", link, "--faiss"])
      #expect((try? FileManager.default.destinationOfSymbolicLink(atPath: link)) == index)
      #expect(FileManager.default.fileExists(atPath: "\(index)/index.faiss"))
      try refused(64, "no index is there", ["serve", "--checkpoint", run, "--index", gallery])
      try refused(64, "--port", ["serve", "--checkpoint", run, "--index", index, "--port", "70000"])
      try refused(64, "--host", ["serve", "--checkpoint", run, "--index", index, "--host", "no.such.host.invalid"])
      // What its description says of itself must be what the checkpoint makes.
      let description = try scratch.text("index/index.json")
      try description.replacing("euclidean\",\n  \"origin", with: "cosine\",\n  \"origin")
        .write(toFile: "\(index)/index.json", atomically: false, encoding: .utf8)
      try refused(65, "features of 32 elements, cosine; its checkpoint's have 32, euclidean", search + [images[0]])
      try FileManager.default.removeItem(atPath: "\(index)/features.csv")
      try refused(65, "features.csv", search + [images[0]])
    }

    @Test func aServiceAnswersUntilItIsInterrupted() throws {
      let index = scratch("index"), port = try Self.freePort()
      try Command.succeed(["index", "--checkpoint", run, "--gallery", gallery, "--output", index])
      let image = try Data(contentsOf: URL(fileURLWithPath: try images()[2]))
      var answer = "", isAsked = false
      let outcome = try Command.run(["serve", "--checkpoint", run, "--index", index, "--port", "\(port)"], timeout: 30)
      { process in
        guard !isAsked, let health = Self.ask(port, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") else { return }
        isAsked = true
        #expect(health.contains("\"status\":\"ok\""))
        let head =
          "POST /search?top=3 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: \(image.count)\r\n\r\n"
        answer = Self.ask(port, head, image) ?? ""
        kill(process, SIGTERM)
      }
      #expect(outcome.code == 0 && outcome.complaints.isEmpty, "\(outcome.code) \(outcome.errors)")
      #expect(answer.hasPrefix("HTTP/1.1 200") && answer.contains("\"image\":\"/images/2\""), "\(answer)")
      #expect(outcome.output.contains("at http://127.0.0.1:\(port)/") && outcome.output.hasSuffix("stopped\n"))
    }

    /// One that nobody listens on now.
    private static func freePort() throws -> Int {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(descriptor) }
      var address = sockaddr_in(), size = socklen_t(MemoryLayout<sockaddr_in>.size)
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(descriptor, $0, size) + getsockname(descriptor, $0, &size)
        }
      }
      try #require(status == 0)
      return Int(UInt16(bigEndian: address.sin_port))
    }

    /// All that comes back; nil where nobody listens.
    private static func ask(_ port: Int, _ head: String, _ body: Data = Data()) -> String? {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(descriptor) }
      var address = sockaddr_in(), limit = timeval(tv_sec: 10, tv_usec: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = UInt16(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard status == 0 else { return nil }
      _ = (Array(head.utf8) + body).withUnsafeBytes {
        send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
      }
      var all: [UInt8] = [], part = [UInt8](repeating: 0, count: 1 << 16)
      while case let count = recv(descriptor, &part, part.count, 0), count > 0 { all += part[..<count] }
      return String(decoding: all, as: UTF8.self)
    }
  }
}
