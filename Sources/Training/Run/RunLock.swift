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

    package init(host: String, process: Int32) { (self.host, self.process) = (host, process) }

    var text: String { "process \(process) on \(host)" }
  }

  private let folder: String, path: String
  private let descriptor: Int32

  /// Takes the lock of the run at `folder`.
  /// - Parameters:
  ///   - patience: seconds to watch a lock of another host for a sign of life, where the kernel tells nothing of it.
  ///   - waiting: called before that, with a line to say.
  /// - Throws: `Failure.usage` that names host and process where another job holds it, or where there is no file in its
  ///   place; `Failure.internal` where there can be no such file.
  package init(_ folder: String, patience: Double = 3 * RunLock.touchSeconds, waiting: (String) -> Void = { _ in })
    throws
  {
    let path = "\(folder)/lock"
    let file = try Self.open(path)
    do {
      let holder = Self.holder(path)
      func isHeld(_ why: String) -> Failure {
        .usage(folder, "another job writes there: \(holder?.text ?? "unknown")\(why); choose another --output")
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
        throw Failure.system(.internal, path, errno)
      }
    } catch {
      close(file)
      throw error
    }
    (self.folder, self.path) = (folder, path)
    descriptor = file
    Threads.start("lineup-lock") { [weak self] in
      func touch() -> Bool { self.map { futimens($0.descriptor, nil) == 0 } ?? false }
      while touch() { usleep(useconds_t(Self.touchSeconds * 1e6)) }
    }
  }

  /// Gives the lock back: the file goes, unless it is another job's by now.
  deinit {
    if Self.number(descriptor) == Self.number(path) { unlink(path) }
    close(descriptor)
  }

  /// Throws `Failure.internal` where the file was taken away, alone or with the folder, and another job may write there.
  package func requireHeld() throws {
    var status = stat()
    let isThere = stat(path, &status) == 0
    // A file system that does not answer says nothing about the lock.
    if !isThere && ![ENOENT, ENOTDIR, ESTALE].contains(errno) { return }
    guard !isThere || UInt(status.st_ino) != Self.number(descriptor) else { return }
    throw Failure.internal(
      path,
      "was taken away while this job ran, \(InputFile.isFolder(folder) ? "and" : "with the folder;") nothing more "
        + "is written there")
  }

  package static let touchSeconds = 5.0

  /// Who holds, or held, the lock at `path`; nil where that is not known.
  package static func holder(_ path: String) -> Holder? {
    guard let bytes = try? InputFile.read(path, limit: 4096) else { return nil }
    return try? JSONDecoder().decode(Holder.self, from: Foundation.Data(bytes))
  }

  private static func open(_ path: String) throws -> Int32 {
    // What a link leads to may be another run's lock, or nobody's.
    let file = Foundation.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0o666)
    if file >= 0 { return file }
    switch errno {
    case ELOOP: throw Failure.usage(path, "is a symbolic link, expected a file")
    case EISDIR: throw Failure.usage(path, "is a folder, expected a file")
    case let reason: throw Failure.system(.internal, path, reason)
    }
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
