import Foundation
import Testing
import Training

/// Hosts of a test (`hosts.sh`); they go with it.
final class Hosts {
  let folder: String, count: Int
  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "hosts.sh"
  ).path

  /// Why there can be none on this machine, or nil.
  static let missing: String? = {
    var reason: String?
    if geteuid() != 0 { reason = "not root" }
    for tool in ["ip", "tc", "ssh", "ssh-keygen", "unshare"] where reason == nil {
      if shell("command -v \(tool)").code != 0 { reason = "there is no \(tool) (iproute2, openssh-client)" }
    }
    if reason == nil && shell("command -v sshd || test -x /usr/sbin/sshd").code != 0 {
      reason = "there is no sshd (openssh-server)"
    }
    let trial = "lineup-trial-\(getpid())"
    let makes =
      "ip netns add \(trial) && ip -n \(trial) link add veth0 type veth peer name veth1 && ip netns exec \(trial) unshare --uts hostname h"
    if reason == nil && shell("\(makes); code=$?; ip netns del \(trial); exit $code").code != 0 {
      reason = "network namespaces are not allowed here"
    }
    if let reason { print("hosts: tests on several hosts are left out: \(reason)") }
    return reason
  }()

  /// - Parameter rate: of every link, as tc spells it.
  init(_ count: Int, in folder: String, rate: String? = nil) throws {
    (self.folder, self.count) = (folder, count)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let (code, output) = rate.map { call("up", "\(count)", $0) } ?? call("up", "\(count)")
    try #require(code == 0, "hosts.sh up: \(output)")
  }

  deinit { call("down") }

  @discardableResult func call(_ action: String, _ words: String...) -> (code: Int32, output: String) {
    Self.shell(([Self.script, action, folder] + words).map { "'\($0)'" }.joined(separator: " "))
  }

  func processes(_ name: String = "lineup") -> [pid_t] {
    call("pids", name).output.split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
  }

  /// Those of one host.
  func processes(_ name: String = "lineup", on host: Int) -> [pid_t] {
    processes(name).filter { process in
      let uts = Self.shell("nsenter -t \(process) --uts uname -n").output
      return uts.trimmingCharacters(in: .whitespacesAndNewlines) == "h\(host)"
    }
  }

  /// Put before a command: it runs on the first host.
  var first: [String] { [Self.script, "on", folder, "1"] }

  var environment: [String: String] { Mpirun.environment(folder) }

  /// Whether all ranks and daemons end within so many seconds.
  func isQuiet(within seconds: Double) -> Bool {
    let end = Date(timeIntervalSinceNow: seconds)
    repeat {
      if processes("lineup").isEmpty && processes(Mpirun.daemon).isEmpty && processes("mpirun").isEmpty { return true }
      usleep(100_000)
    } while Date() < end
    return false
  }

  static func shell(_ script: String) -> (code: Int32, output: String) {
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    // A daemon that it starts must not keep the pipe.
    process.arguments = ["-c", "out=$( { \(script)\n} 2>&1 </dev/null); code=$?; printf '%s' \"$out\"; exit $code"]
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return (-1, "") }
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}

extension CommandTests {
  /// Ranks on several hosts, each with a network of its own that can be cut.
  @Suite(.serialized, .enabled(if: Hosts.missing == nil, "several hosts on one machine are not possible here"))
  struct HostTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func arguments(_ run: String, data: String? = nil, steps: Int = 100_000, watchdog: Int = 3) -> [String] {
      ["train", "--data", data ?? self.data, "--output", scratch(run)] + Tiny.training
        + Tiny.settings(
          "model.head=baseline", "model.stages=[4]", "model.width=0.0157", "sampling.identities=8",
          "schedule.epochs=100000", "schedule.maxSteps=\(steps)", "checkpoint.everySteps=10", "checkpoint.keep=2",
          "log.everySteps=1000", "watchdog.seconds=\(watchdog)")
    }

    private func mpirun(_ hosts: Hosts) -> [String] {
      hosts.first + Mpirun.on(hosts.folder, hosts.count)
    }

    /// Starts a training on all hosts, and calls `act` once it is under way, with mpirun's process.
    private func run(
      _ hosts: Hosts, watchdog: Int = 3, throughLauncher: Bool = false, steps: Int = 100_000, act: (pid_t) -> Void
    ) throws -> Command.Outcome {
      let files = RunFiles(path: scratch("run"))
      var isDone = false
      var prefix = mpirun(hosts), environment = hosts.environment
      if throughLauncher {
        let train = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
          "../../launch/train"
        ).standardized.path
        prefix = hosts.first + ["bash", "-c", "shift 2; exec '\(train)' \"$@\"", "bash"]
        let products = URL(fileURLWithPath: Command.path).deletingLastPathComponent().path
        environment["PATH"] =
          products + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin:/usr/sbin:/sbin")
        environment["HOSTFILE"] = "\(hosts.folder)/hosts"
        environment["INTERFACE"] = "eth0"
      }
      return try Command.run(
        arguments("run", steps: steps, watchdog: watchdog), environment: environment, prefix: prefix,
        timeout: Mpirun.isMPICH ? 90 : 45
      ) { process in
        guard !isDone, files.steps >= 25 else { return }
        isDone = true
        act(process)
      }
    }

    /// Of hosts whose link has a rate: what `doctor` measures is what `forecast` reads.
    @Test func doctorMeasuresTheNetwork() throws {
      let hosts = try Hosts(2, in: scratch("hosts"), rate: "500mbit")
      let outcome = try Command.run(["doctor"], environment: hosts.environment, prefix: mpirun(hosts), timeout: 60)
      #expect(outcome.code == 0, "\(outcome.errors)")
      let found = try #require(
        outcome.output.firstMatch(of: /network +(\S+) \(lineup forecast --network\)/), "\(outcome.output)")
      let network = try NetworkTraits(String(found.1))
      #expect(network.bytesPerSecond > 2.5e8 / 8 && network.bytesPerSecond < 6e8 / 8, "\(found.1)")
      #expect(network.latency > 1e-6 && network.latency < 0.1)
    }

    /// MPICH is slow with more ranks than cores, of which small machines have two.
    @Test func hostsTrainToTheBytesOfOne() throws {
      let hosts = try Hosts(Mpirun.isMPICH ? 2 : 4, in: scratch("hosts"))
      try Command.succeed(arguments("whole", steps: 40))
      let outcome = try run(hosts, steps: 40) { _ in }
      #expect(outcome.code == 0, "\(outcome.errors)")
      let ranks = (0..<hosts.count).map { "h\($0 + 1): \($0)" }.joined(separator: ", ")
      #expect(outcome.output.contains("hosts and their ranks: \(ranks)"))
      try RunFiles(path: scratch("run")).expectSameCheckpoint(as: RunFiles(path: scratch("whole")), step: 40)
    }

    /// launch/train knows why mpirun had to be killed.
    @Test(arguments: [false, true]) func aHostThatIsCutOffIsNamedAndTheJobEnds(_ throughLauncher: Bool) throws {
      let hosts = try Hosts(3, in: scratch("hosts"))
      let outcome = try run(hosts, throughLauncher: throughLauncher) { _ in hosts.call("cut", "2") }
      #expect(outcome.code == (throughLauncher || Mpirun.isMPICH ? 69 : -SIGKILL), "\(outcome.errors)")
      for rank in [0, 2] {
        let line = outcome.complaints.first { $0.hasPrefix("lineup: rank \(rank) on h\(rank + 1): ") } ?? ""
        #expect(line.contains("rank 1 on h2 is missing: not heard of for "), "\(outcome.errors)")
      }
      #expect(
        hosts.isQuiet(within: 15),
        "left: \(hosts.processes("lineup")) \(hosts.processes(Mpirun.daemon)) \(hosts.processes("mpirun"))")
      #expect(try Checkpoint(path: scratch("run")).state.step >= 20)
    }

    @Test func aShortCutIsWaitedFor() throws {
      let hosts = try Hosts(2, in: scratch("hosts"))
      try Command.succeed(arguments("whole", steps: 60, watchdog: 4))
      var isCut = false
      let outcome = try run(hosts, watchdog: 4, steps: 60) { _ in
        hosts.call("cut", "2")
        usleep(1_000_000)
        hosts.call("mend", "2")
        isCut = true
      }
      #expect(outcome.code == 0 && isCut && outcome.complaints.isEmpty, "\(outcome.errors)")
      try RunFiles(path: scratch("run")).expectSameCheckpoint(as: RunFiles(path: scratch("whole")), step: 60)
    }

    @Test func aStoppedRankOnAnotherHostIsNamed() throws {
      let hosts = try Hosts(2, in: scratch("hosts"))
      let outcome = try run(hosts, watchdog: 2) { _ in for rank in hosts.processes(on: 2) { kill(rank, SIGSTOP) } }
      #expect(outcome.code == 69, "\(outcome.errors)")
      #expect(
        outcome.complaints.count == 1 && outcome.complaints[0].contains("rank 0 on h1: rank 1 on h2 is missing: "),
        "\(outcome.errors)")
      #expect(hosts.isQuiet(within: 10))
    }

    @Test func otherDataOnAHostIsFound() throws {
      let hosts = try Hosts(3, in: scratch("hosts"))
      try FileManager.default.copyItem(atPath: data, toPath: scratch("other"))
      let folder = scratch("other/bounding_box_train")
      let removed = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).sorted().last)
      try FileManager.default.removeItem(atPath: "\(folder)/\(removed)")
      // The same path leads to other files on h3.
      let wrapper = scratch("wrapper")
      try
        "#!/bin/sh\n[ \"$(uname -n)\" != h3 ] || exec unshare -m sh -c 'mount --bind \"$0\" \"$1\" && shift && exec \"$@\"' '\(scratch("other"))' '\(data)' \"$@\"\nexec \"$@\"\n"
        .write(toFile: wrapper, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: wrapper)
      let outcome = try Command.run(arguments("run"), environment: hosts.environment, prefix: mpirun(hosts) + [wrapper])
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
      #expect(
        outcome.complaints.first?.contains("rank 2 on h3") == true
          && outcome.complaints.first?.contains(removed) == true, "\(outcome.complaints)")
    }

    @Test func withoutMpirunTheRanksOfAllHostsEnd() throws {
      let hosts = try Hosts(3, in: scratch("hosts"))
      let files = RunFiles(path: scratch("run"))
      var at = 0
      let outcome = try run(hosts) { process in
        at = files.steps
        kill(process, SIGKILL)
      }
      #expect(outcome.code == -SIGKILL && at > 0)
      #expect(hosts.isQuiet(within: 10), "left: \(hosts.processes("lineup")) \(hosts.processes(Mpirun.daemon))")
      let step = try Checkpoint(path: scratch("run")).state.step
      #expect(step >= at / 10 * 10)
      print("hosts: mpirun killed at step \(at), saved at step \(step)")
    }

    /// Whether mpirun hears of its daemon or of the ssh that it started it with is a race.
    private static func tellsOfADeadHost(_ errors: String) -> Bool {
      errors.contains("mpirun: host 10.77.0.2 is missing: ")
        || errors.contains("mpirun: a host's daemon (\(Mpirun.daemon)) ")
    }

    /// mpirun notices before the watchdog, and ends with a code of its own.
    @Test(arguments: [false, true]) func aDeadHostEndsTheJob(_ throughLauncher: Bool) throws {
      let hosts = try Hosts(3, in: scratch("hosts"))
      let outcome = try run(hosts, throughLauncher: throughLauncher) { _ in hosts.call("kill", "2") }
      #expect(outcome.code != 0, "\(outcome.errors)")
      if throughLauncher {
        #expect(outcome.code == 69 && Self.tellsOfADeadHost(outcome.errors), "\(outcome.errors)")
      }
      #expect(hosts.isQuiet(within: 10), "left: \(hosts.processes("lineup")) \(hosts.processes(Mpirun.daemon))")
      #expect(try Checkpoint(path: scratch("run")).state.step >= 20)
    }
  }
}
