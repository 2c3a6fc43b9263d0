import Foundation

/// The process that started this rank: mpirun, or Open MPI's daemon (orted) on another host. Between MPICH's mpirun and a rank is a
/// daemon (hydra_pmi_proxy) on every host; without it mpirun may wait for the ranks' output.
enum Launcher {
  private static let names = ["mpirun", "mpiexec", "mpiexec.hydra", "orterun", "orted"]

  /// Sees to it that the launcher of a job that has ended badly ends too, some seconds from now.
  ///
  /// Open MPI's waits for hosts that it cannot reach, a quarter of an hour and more. What kills it must outlive this rank,
  /// which it may kill itself in the meantime.
  static func endLater(seconds: Int = 8) {
    var parent = getppid()
    if name(of: parent) == "hydra_pmi_proxy" { parent = self.parent(of: parent) }
    guard names.contains(name(of: parent)) else { return }
    // Still the same process then: numbers are used again.
    let script = """
      sleep \(seconds); read -r name </proc/\(parent)/comm
      case $name in \(names.joined(separator: "|"))) kill -KILL \(parent);; esac
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

  private static func name(of process: pid_t) -> String {
    let text = (try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8)) ?? ""
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private static func parent(of process: pid_t) -> pid_t {
    let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
    // Behind the name, which may hold anything: the state and the parent.
    return text.split(separator: ")").last.flatMap { pid_t($0.split(separator: " ")[1]) } ?? 0
  }
}
