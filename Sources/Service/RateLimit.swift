import Synchronization

/// How often a client may ask: tokens that come back at a rate, a few of which can be saved up.
final class RateLimit: Sendable {
  private struct Client { var tokens: Double, last: ContinuousClock.Instant }
  private static let mostClients = 4096

  private let rate: Double, saved: Double
  private let clients = Mutex<[String: Client]>([:])

  /// - Parameters:
  ///   - rate: tokens a second.
  ///   - saved: the most that are there at once, 1 at least.
  init(rate: Double, saved: Double) { (self.rate, self.saved) = (rate, max(1, saved)) }

  /// Takes a token of a client; nil where there was one, else the seconds until there is.
  func wait(_ client: String, now: ContinuousClock.Instant = .now) -> Double? {
    clients.withLock { clients in
      if clients.count >= Self.mostClients && clients[client] == nil {
        clients = clients.filter { left($0.value, now) < saved }
        // So many at once are kept waiting rather than remembered.
        if clients.count >= Self.mostClients { return 1 }
      }
      let tokens = clients[client].map { left($0, now) } ?? saved
      clients[client] = Client(tokens: tokens >= 1 ? tokens - 1 : tokens, last: now)
      return tokens >= 1 ? nil : (1 - tokens) / rate
    }
  }

  private func left(_ client: Client, _ now: ContinuousClock.Instant) -> Double {
    let seconds = (now - client.last) / .seconds(1)
    return min(saved, client.tokens + max(0, seconds) * rate)
  }
}
