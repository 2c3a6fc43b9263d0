import Foundation
import Testing

/// What a client sends and is sent, byte by byte.
struct HTTPClient {
  struct Answer {
    let status: Int
    let head: String, body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }
    func json() throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any])
    }
  }

  let port: Int

  /// Sends `bytes` in pieces, and reads until the server closes; nil where it closed without a word.
  func send(_ bytes: [UInt8], piece: Int = 1 << 16, pause: UInt32 = 0) throws -> Answer? {
    let descriptor = try open()
    defer { close(descriptor) }
    for start in stride(from: 0, to: bytes.count, by: piece) {
      let part = Array(bytes[start..<min(bytes.count, start + piece)])
      // One that is refused early is not read to its end.
      guard
        part.withUnsafeBytes({ Foundation.send(descriptor, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL)) })
          > 0
      else { break }
      if pause > 0 { usleep(pause) }
    }
    return Self.answer(read(descriptor))
  }

  func open() throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try #require(descriptor >= 0)
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
    return descriptor
  }

  func read(_ descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = [], part = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = recv(descriptor, &part, part.count, 0), count > 0 { all += part[..<count] }
    return all
  }

  static func answer(_ bytes: [UInt8]) -> Answer? {
    guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: [13, 10, 13, 10]) }) else { return nil }
    let head = String(decoding: bytes[..<end], as: UTF8.self), words = head.split(separator: " ")
    guard words.count > 1, let status = Int(words[1]) else { return nil }
    return Answer(status: status, head: head, body: Array(bytes[(end + 4)...]))
  }

  func get(_ target: String, method: String = "GET", headers: [String] = [], host: String = "localhost") throws
    -> Answer?
  {
    let lines = ["\(method) \(target) HTTP/1.1", "Host: \(host)"] + headers
    return try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
  }

  func post(
    _ target: String, _ body: [UInt8], type: String? = "image/jpeg", length: Int? = nil, headers: [String] = []
  ) throws -> Answer? {
    var lines =
      ["POST \(target) HTTP/1.1", "Host: localhost:\(port)", "Content-Length: \(length ?? body.count)"] + headers
    if let type { lines.append("Content-Type: \(type)") }
    return try send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
  }
}
