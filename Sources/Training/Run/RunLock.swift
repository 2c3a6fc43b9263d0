import Foundation
import Storage
import Tensors

/// `RUN/lock`: one job at a time writes into a run's folder.
///
/// The file is locked for as long as the process lives (`flock`, which the kernel gives back however it ends), and says
/// who holds it. Where a file system does not carry such locks from host to host, the file's time does: the holder touches
/// it every few seconds, and a lock of another host that is touched counts as held.
package final class RunLock: Sendable {
  /// Who holds a lock.
  package struct Holder: Codable, Equatable, Sendable {
    package var host: String
    package var process: Int32

    var text: String { "process \(process) on \(host)" }
  }

  private let path: String
  private let descriptor: Int32

  /// Takes the lock of the run at `folder`.
  /// - Parameters:
  ///   - patience: seconds to watch a lock of another host for a sign of life, where the kernel tells nothing of it.
  ///   - waiting: called before that, with a line to say.
  /// - Throws: `Failure.usage` that names host and process where another job holds it; `Failure.internal` where there can
  ///   be no such file.
  package init(_ folder: String, patience: Double = 3 * RunLock.touchSeconds, waiting: (String) -> Void = { _ in })
    throws
  {
    let path = "\(folder)/lock"
    let file = try Self.open(path)
    do {
      let holder = Self.holder(path)
      func isHeld(_ why: String) -> Failure {
        .usage("\(folder): another job writes there: \(holder?.text ?? "unknown")\(why); choose another --output")
      }
      // Any other error: no locks on this file system, where the time of the file is all there is.
      if flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK { throw isHeld("") }
      // The holder before may have taken the file away between our opening and locking it.
      guard Self.number(file) == Self.number(path) else { throw isHeld("") }
      if let holder, holder.host != Host.name {
        let before = Self.touched(file)
        waiting("\(path): was held by \(holder.text); waiting \(Int(patience)) s for a sign of life")
        let end = Timeline.now + UInt64(patience * 1e9)
        while Timeline.now < end {
          usleep(200_000)
          if Self.touched(file) != before { throw isHeld(", and is alive") }
        }
      }
      let text = String(
        decoding: try JSONEncoder().encode(Holder(host: Host.name, process: getpid())), as: UTF8.self)
      guard ftruncate(file, 0) == 0, text.withCString({ pwrite(file, $0, strlen($0), 0) }) == text.utf8.count else {
        throw Failure.internal("\(path): \(String(cString: strerror(errno)))")
      }
    } catch {
      close(file)
      throw error
    }
    self.path = path
    descriptor = file
    Threads.start("lineup-lock") { [weak self] in
      func touch() -> Bool { self.map { futimens($0.descriptor, nil) == 0 } ?? false }
      while touch() { usleep(useconds_t(Self.touchSeconds * 1e6)) }
    }
  }

  /// Gives the lock back: the file goes.
  deinit {
    unlink(path)
    close(descriptor)
  }

  package static let touchSeconds = 5.0

  /// Who holds, or held, the lock at `path`; nil where that is not known.
  package static func holder(_ path: String) -> Holder? {
    guard let bytes = try? InputFile.read(path, limit: 4096) else { return nil }
    return try? JSONDecoder().decode(Holder.self, from: Foundation.Data(bytes))
  }

  private static func open(_ path: String) throws -> Int32 {
    let file = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o666)
    guard file >= 0 else { throw Failure.internal("\(path): \(String(cString: strerror(errno)))") }
    return file
  }

  private static func number(_ file: Int32) -> UInt {
    var status = stat()
    return fstat(file, &status) == 0 ? UInt(status.st_ino) : 0
  }

  private static func number(_ path: String) -> UInt {
    var status = stat()
    return stat(path, &status) == 0 ? UInt(status.st_ino) : 1
  }

  private static func touched(_ file: Int32) -> Int {
    var status = stat()
    return fstat(file, &status) == 0 ? status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec : 0
  }
}
