import Foundation

/// The process that started this rank: mpirun, or its daemon (orted) on another host.
enum Launcher {
  /// Sees to it that the launcher of a job that has ended badly ends too, some seconds from now.
  ///
  /// Open MPI's waits for hosts that it cannot reach, a quarter of an hour and more. What kills it must outlive this rank,
  /// which it may kill itself in the meantime.
  static func endLater(seconds: Int = 8) {
    let parent = getppid()
    let name = (try? String(contentsOfFile: "/proc/\(parent)/comm", encoding: .utf8)) ?? ""
    guard ["mpirun", "orterun", "orted"].contains(name.trimmingCharacters(in: .whitespacesAndNewlines)) else { return }
    // Still the same process then: numbers are used again.
    let script = """
      sleep \(seconds); read -r name </proc/\(parent)/comm
      case $name in mpirun|orterun|orted) kill -KILL \(parent);; esac
      """
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    let inSessionOfItsOwn: Int16 = 0x80  // POSIX_SPAWN_SETSID, which Swift does not see
    posix_spawnattr_setflags(&attributes, inSessionOfItsOwn)
    var process = pid_t()
    let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-c"), strdup(script), nil]
    defer { for argument in arguments { free(argument) } }
    posix_spawn(&process, "/bin/sh", nil, &attributes, arguments, environ)
  }
}
