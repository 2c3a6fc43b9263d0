import Foundation
import Tensors

/// A request but for its body.
package struct HTTPHead: Sendable {
  package let method: String
  /// Decoded, without what follows a question mark.
  package let path: String
  package let query: [String: String]
  /// By names in small letters.
  package let headers: [String: String]
  /// The client's address as numbers.
  package let client: String

  package init(method: String, path: String, query: [String: String], headers: [String: String], client: String) {
    (self.method, self.path, self.query, self.headers, self.client) = (method, path, query, headers, client)
  }

  /// Bytes of the body that were announced; nil where none were.
  package var contentLength: Int? { headers["content-length"].flatMap { Int($0) } }

  /// Without parameters, in small letters.
  package var contentType: String {
    let type = (headers["content-type"] ?? "").split(separator: ";").first ?? ""
    return type.trimmingCharacters(in: .whitespaces).lowercased()
  }
}

package struct HTTPResponse: Sendable {
  package let status: Int
  package var headers: [String: String]
  package let body: [UInt8]

  package init(status: Int, type: String, headers: [String: String] = [:], body: [UInt8]) {
    (self.status, self.body) = (status, body)
    self.headers = headers.merging(["Content-Type": type]) { $1 }
  }

  /// An object of JSON, its keys sorted.
  package init(status: Int = 200, json: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // What is encoded are strings and finite numbers.
    let body = try! encoder.encode(json)
    self.init(status: status, type: "application/json", headers: ["Cache-Control": "no-store"], body: Array(body))
  }

  /// What is wrong, in one line, for people and programs.
  package static func refusal(_ status: Int, _ reason: String, headers: [String: String] = [:]) -> HTTPResponse {
    var response = HTTPResponse(status: status, json: ["error": Printable.line(reason)])
    response.headers.merge(headers) { $1 }
    return response
  }
}

/// What a server asks.
package protocol HTTPHandler: AnyObject, Sendable {
  /// Before any of the body has come: an answer that does without it; nil to receive it.
  func refusal(of head: HTTPHead) -> HTTPResponse?
  /// - Parameter body: as long as was announced.
  func answer(_ head: HTTPHead, body: [UInt8]) -> HTTPResponse
}
