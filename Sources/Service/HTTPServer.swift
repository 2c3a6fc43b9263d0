import CHTTP
import Foundation
import Synchronization
import Tensors

/// HTTP/1.1 on one socket, by libmicrohttpd: a thread a connection, and one request a connection.
///
/// What clients can take is bounded: connections in all and of one address, the bytes of headers (431) and of all bodies that
/// are being received (503), seconds without a byte and seconds in all, after which a connection is closed whatever it does.
/// A body must announce its length (411).
package final class HTTPServer: Sendable {
  package struct Limits: Sendable {
    package var connections = 64, connectionsOfAddress = 16
    package var idleSeconds = 10, seconds = 60
    package var headerBytes = 16 << 10
    /// Of all bodies that are being received, or answered.
    package var bodyBytes = 1 << 26

    package init() {}
  }

  /// The address that was bound, as numbers.
  package let port: Int
  private let handler: any HTTPHandler
  private let limits: Limits
  private nonisolated(unsafe) var daemon: OpaquePointer!
  /// Sockets that are open, and since when; bytes of bodies; whether it has ended.
  private struct State {
    var sockets: [Int32: ContinuousClock.Instant] = [:]
    var bodyBytes = 0
    var isClosed = false
  }
  private let state = Mutex(State())

  /// - Parameter port: 0 takes one that is free.
  /// - Throws: `Failure.usage` where there is no such address; `Failure(.missing)` where it cannot be bound.
  package init(host: String, port: Int, limits: Limits, _ handler: any HTTPHandler) throws {
    let socket = try Self.listen(host, port)
    (self.handler, self.limits, self.port) = (handler, limits, Self.port(of: socket))
    var bounds = lineup_http_limits(
      connections: UInt32(limits.connections), connections_per_address: UInt32(limits.connectionsOfAddress),
      idle_seconds: UInt32(limits.idleSeconds), header_bytes: limits.headerBytes)
    daemon = lineup_http_start(
      socket, &bounds,
      { context, connection, url, method, _, data, size, exchange in
        HTTPServer.of(context).proceed(connection!, url!, method!, data, size!, exchange!)
      },
      { context, _, exchange, _ in HTTPServer.of(context).finish(exchange!) },
      { context, connection, _, event in
        HTTPServer.of(context).note(lineup_http_socket(connection), isOpen: event == .CONNECTION_NOTIFY_STARTED)
      },
      Unmanaged.passUnretained(self).toOpaque())
    guard daemon != nil else {
      let reason = errno
      close(socket)
      throw Failure.system(.internal, "HTTP server", reason)
    }
    Threads.start("lineup-http") { [weak self] in while let server = self, server.sweep() { usleep(500_000) } }
  }

  /// Ends all connections, and returns when the last request has been answered.
  package func stop() {
    state.withLock { $0.isClosed = true }
    MHD_stop_daemon(daemon)
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> HTTPServer {
    Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue()
  }

  // MARK: - Sockets

  private static func listen(_ host: String, _ port: Int) throws -> Int32 {
    var hints = addrinfo(), found: UnsafeMutablePointer<addrinfo>?
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    // An address, so that nobody is asked what a name means.
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST
    let status = getaddrinfo(host.lowercased() == "localhost" ? "127.0.0.1" : host, "\(port)", &hints, &found)
    guard status == 0, let address = found else {
      throw Failure.usage("--host \(Printable.line(host, limit: 100))", "expected an IP address, or localhost")
    }
    defer { freeaddrinfo(found) }
    let descriptor = socket(address.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Failure.system(.missing, "\(host):\(port)", errno) }
    var yes: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
      Foundation.listen(descriptor, 128) == 0
    else {
      let reason = errno
      close(descriptor)
      throw Failure.system(.missing, "\(host):\(port)", reason)
    }
    return descriptor
  }

  private static func port(of socket: Int32) -> Int {
    var address = sockaddr_storage(), size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let status = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &size) }
    }
    guard status == 0 else { return 0 }
    // In both families the port follows the family.
    return withUnsafeBytes(of: &address) {
      Int(UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
    }
  }

  private func note(_ socket: Int32, isOpen: Bool) {
    state.withLock { $0.sockets[socket] = isOpen ? .now : nil }
  }

  /// Shuts connections that have lasted too long: their threads find them ended. The lock is held so that a number still means
  /// that socket. False at the end.
  private func sweep() -> Bool {
    state.withLock { state in
      let oldest = ContinuousClock.now - .seconds(limits.seconds)
      for (socket, start) in state.sockets where start < oldest { shutdown(socket, Int32(SHUT_RDWR)) }
      return !state.isClosed
    }
  }

  // MARK: - Requests

  /// A request on its way.
  private final class Exchange {
    let head: HTTPHead
    var body: [UInt8] = []
    /// Bytes that are taken of the bound of all bodies.
    var reserved = 0

    init(_ head: HTTPHead) { self.head = head }
  }

  /// Called with the head, then with each part of the body, then with no bytes.
  private func proceed(
    _ connection: OpaquePointer, _ url: UnsafePointer<CChar>, _ method: UnsafePointer<CChar>,
    _ data: UnsafePointer<CChar>?, _ size: UnsafeMutablePointer<Int>,
    _ place: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) -> MHD_Result {
    guard let pointer = place.pointee else {
      let (head, twice) = head(connection, url, method), exchange = Exchange(head)
      place.pointee = Unmanaged.passRetained(exchange).toOpaque()
      let ambiguity = twice.map { HTTPResponse.refusal(400, "\(Printable.line($0, limit: 60)) is given twice") }
      if let refusal = ambiguity ?? handler.refusal(of: head) ?? prepare(exchange) {
        return send(refusal, connection)
      }
      return .YES
    }
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeUnretainedValue()
    guard size.pointee == 0 else {
      guard exchange.body.count + size.pointee <= exchange.reserved else { return .NO }
      exchange.body += UnsafeRawBufferPointer(start: data, count: size.pointee)
      size.pointee = 0
      return .YES
    }
    return send(handler.answer(exchange.head, body: exchange.body), connection)
  }

  /// Takes the bytes of the body; where that cannot be, the answer.
  private func prepare(_ exchange: Exchange) -> HTTPResponse? {
    if exchange.head.headers["transfer-encoding"] != nil {
      return .refusal(411, "a body needs a Content-Length")
    }
    let length = max(0, exchange.head.contentLength ?? 0)
    let isGranted = state.withLock { state in
      guard length <= limits.bodyBytes - state.bodyBytes else { return false }
      state.bodyBytes += length
      return true
    }
    guard isGranted else { return .refusal(503, "too many images are being received", headers: ["Retry-After": "1"]) }
    exchange.reserved = length
    exchange.body.reserveCapacity(length)
    return nil
  }

  private func finish(_ place: UnsafeMutablePointer<UnsafeMutableRawPointer?>) {
    guard let pointer = place.pointee else { return }
    place.pointee = nil
    let exchange = Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue()
    state.withLock { $0.bodyBytes -= exchange.reserved }
  }

  /// - Returns: also what is there twice and must not be.
  private func head(
    _ connection: OpaquePointer, _ url: UnsafePointer<CChar>, _ method: UnsafePointer<CChar>
  ) -> (HTTPHead, twice: String?) {
    var client = [CChar](repeating: 0, count: 64)
    lineup_http_client(connection, &client, client.count)
    let query = values(connection, .GET_ARGUMENT_KIND), headers = values(connection, .HEADER_KIND)
    let names = Dictionary(grouping: query, by: \.name)
    let once = headers.map { $0.name.lowercased() }.filter { ["content-length", "host"].contains($0) }
    let head = HTTPHead(
      method: String(cString: method), path: String(cString: url), query: names.mapValues { $0[0].value },
      headers: Dictionary(headers.map { ($0.name.lowercased(), $0.value) }) { $1 },
      client: client.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
    let twice = names.keys.sorted().first { names[$0]!.count > 1 }
    return (head, twice ?? once.first { name in once.count { $0 == name } > 1 })
  }

  private func values(_ connection: OpaquePointer, _ kind: MHD_ValueKind) -> [(name: String, value: String)] {
    final class Values { var pairs: [(name: String, value: String)] = [] }
    let values = Values()
    MHD_get_connection_values(
      connection, kind,
      { context, _, key, value in
        let values = Unmanaged<Values>.fromOpaque(context!).takeUnretainedValue()
        if let key { values.pairs.append((String(cString: key), value.map { String(cString: $0) } ?? "")) }
        return .YES
      }, Unmanaged.passUnretained(values).toOpaque())
    return values.pairs
  }

  private func send(_ answer: HTTPResponse, _ connection: OpaquePointer) -> MHD_Result {
    let response = answer.body.withUnsafeBytes { bytes in
      MHD_create_response_from_buffer(
        bytes.count, UnsafeMutableRawPointer(mutating: bytes.baseAddress), .RESPMEM_MUST_COPY)
    }
    guard let response else { return .NO }
    defer { MHD_destroy_response(response) }
    let usual = [
      "Connection": "close", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
      "Cross-Origin-Resource-Policy": "same-origin",
    ]
    for (name, value) in usual.merging(answer.headers, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
      MHD_add_response_header(response, name, value)
    }
    return MHD_queue_response(connection, UInt32(answer.status), response)
  }
}
