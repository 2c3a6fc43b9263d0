import Foundation

/// Threads of the process.
package enum Threads {
  /// Runs `body` on a thread of its own.
  ///
  /// A system that grants none (`ulimit -u`, a container's limit of processes) ends the process as one without memory
  /// does: everything that would wait for the thread would wait forever.
  /// - Parameter name: the first 15 characters are shown by the system.
  package static func start(_ name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, max(stackBytes, 1 << 16))
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    let life = Unmanaged.passRetained(Life(name, body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, &attributes,
      { argument in
        let life = Unmanaged<Life>.fromOpaque(argument!).takeRetainedValue()
        Thread.current.name = life.name
        life.body()
        return nil
      }, life.toOpaque())
    guard status != 0 else { return }
    life.release()
    LastWords.say("cannot start the thread \(name): \(String(cString: strerror(status)))")
  }

  private final class Life: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(_ name: String, _ body: @escaping @Sendable () -> Void) {
      (self.name, self.body) = (String(name.prefix(15)), body)
    }
  }
}
