import Foundation
import Storage
import Testing

extension UntimedCommandTests {
  /// `lineup metrics` and `lineup watch`: a run as its files tell of it.
  @Suite(.serialized) struct MonitorTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func train(_ more: String...) throws -> [String] {
      ["train", "--data", try scratch.dataset(), "--output", scratch("run")] + Tiny.training
        + (["evaluation.everyEpochs=1"] + more).flatMap { ["--set", $0] }
    }

    private func refusal(_ code: Int32, _ arguments: String..., ranks: Int? = nil) throws -> String {
      let outcome = try Command.run(arguments, ranks: ranks)
      #expect(outcome.code == code && outcome.complaints.count == 1 && outcome.output.isEmpty, "\(outcome)")
      return outcome.complaints.first ?? ""
    }

    @Test func metricsBecomeTables() throws {
      try Command.succeed(try train("schedule.epochs=2"))
      let lines = try RunFiles(path: scratch("run")).metrics()
      func table(_ arguments: String...) throws -> [[String: Double]] {
        let text = try Command.succeed(["metrics", scratch("run")] + arguments).output
        let rows = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        #expect(rows.last == "")
        let names = rows[0].split(separator: ",").map(String.init)
        return rows.dropFirst().dropLast().map { row in
          let fields = row.split(separator: ",", omittingEmptySubsequences: false)
          #expect(fields.count == names.count)
          return Dictionary(
            uniqueKeysWithValues: zip(names, fields).compactMap { name, field in
              Double(field).map { (name, $0) }
            })
        }
      }
      #expect(try table() == lines.filter { $0["loss"] != nil })
      #expect(try table("--every", "5").integers("step") == [5, 10, 15, 16])
      #expect(try table("--evaluations") == lines.filter { $0["loss"] == nil })
      try Command.succeed(["metrics", scratch("run"), "--csv", scratch("steps.csv")])
      #expect(try scratch.text("steps.csv") == (try Command.succeed(["metrics", scratch("run")])).output)

      #expect(try refusal(64, "metrics", scratch("run"), "--every", "0").contains("--every must be 1 or more"))
      #expect(
        try refusal(64, "metrics", scratch("run"), "--evaluations", "--every", "2").contains("--every is for steps"))
      #expect(try refusal(64, "metrics", scratch("run"), "--csv", scratch("run/metrics.jsonl")).contains("--csv"))
      #expect(try refusal(64, "metrics", scratch("run"), "--csv", scratch("none/x.csv")).contains("there is no folder"))
      #expect(try refusal(65, "metrics", scratch("none")).contains("no run in it"))
      try Data("{\"step\": 0, \"mAP\": 0.5}\n{\"step\": [\n".utf8).write(
        to: URL(fileURLWithPath: scratch("run/metrics.jsonl")))
      #expect(try refusal(65, "metrics", scratch("run")).contains("metrics.jsonl:2: has [ where a value was expected"))
    }

    /// One that is watched from before its beginning, without a terminal.
    @Test func aRunIsFollowedToItsEnd() throws {
      let all = try train("schedule.epochs=3")
      let watcher = Process(), handle = try scratch.handle("watched")
      watcher.executableURL = URL(fileURLWithPath: Command.path)
      watcher.arguments = ["watch", scratch("run"), "--plain"]
      (watcher.standardOutput, watcher.standardError) = (handle, try scratch.handle("watched-errors"))
      watcher.standardInput = FileHandle.nullDevice
      try watcher.run()
      for _ in 0..<200 where try scratch.text("watched").isEmpty { usleep(20_000) }
      #expect(try scratch.text("watched").hasSuffix("/run: no run there yet; waiting for it to begin\n"))
      try Command.succeed(all)
      watcher.waitUntilExit()
      let lines = try scratch.text("watched").split(separator: "\n").map(String.init)
      #expect(try watcher.terminationStatus == 0 && scratch.text("watched-errors").isEmpty)
      #expect(lines.contains { $0.hasSuffix("/run: finished") }, "\(lines)")
      #expect(lines.contains { $0.hasPrefix("evaluation after 24 steps  mAP ") }, "\(lines)")
      #expect(lines.last?.hasPrefix("step 24/24  epoch 3/3  loss ") == true, "\(lines)")

      let once = try Command.succeed(["watch", scratch("run"), "--once"]).output
      #expect(once.contains("\nloss ") && once.contains("mAP  best ") && !once.contains("\u{1B}"))
      let plain = try Command.succeed(["watch", scratch("run"), "--once", "--plain"]).output
      #expect(plain.unicodeScalars.allSatisfy(\.isASCII) && plain.contains("\nrank 0  convolutions "))
    }

    @Test func sharesOfRanksAreRecorded() throws {
      try Command.succeed(try train("schedule.maxSteps=20"), ranks: 2)
      let text = try scratch.text("run/ranks.jsonl")
      struct Line: Decodable {
        let step: Int, rank: Int, host: String, seconds: Double, convolutionShare: Double, collectiveShare: Double
      }
      let lines = try text.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      #expect(lines.map(\.step) == [16, 16, 20, 20] && lines.map(\.rank) == [0, 1, 0, 1])
      #expect(lines.allSatisfy { $0.seconds > 0 && (0...1).contains($0.convolutionShare + $0.collectiveShare) })
      let plain = try Command.succeed(["watch", scratch("run"), "--once", "--plain"]).output
      #expect(plain.contains("\nrank 0 on ") && plain.contains("\nrank 1 on "))
    }

    @Test func whatCannotBeWatchedIsSaid() throws {
      #expect(try refusal(65, "watch", scratch("none"), "--once").contains("no run in it"))
      try Data().write(to: URL(fileURLWithPath: scratch("file")))
      #expect(try refusal(64, "watch", scratch("file")).contains("is no folder"))
      #expect(try refusal(64, "watch", "").contains("the path of a run's folder is missing"))
      #expect(try refusal(64, "watch", scratch("none"), ranks: 2).contains("start it without mpirun"))
    }

    /// On a terminal it draws frames, and leaves the terminal as it was, whether by a key or by a signal.
    @Test(arguments: ["q", "\u{3}", ""]) func aTerminalIsLeftAsItWas(_ key: String) throws {
      try FileManager.default.createDirectory(atPath: scratch("run"), withIntermediateDirectories: true)
      try Data("schedule: {epochs: 1}\n".utf8).write(to: URL(fileURLWithPath: scratch("run/config.yaml")))
      let lines = (1...20).map { "{\"step\": \($0), \"epoch\": 1, \"loss\": \(20 - $0), \"learningRate\": 0.1}\n" }
      try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: scratch("run/metrics.jsonl")))
      var terminal: Int32 = -1, user: Int32 = -1, during = termios()
      var size = winsize(ws_row: 30, ws_col: 90, ws_xpixel: 0, ws_ypixel: 0)
      let isOpen = openpty(&terminal, &user, nil, nil, &size) == 0
      try #require(isOpen)
      defer { close(terminal) }
      let watcher = Process()
      watcher.executableURL = URL(fileURLWithPath: "/usr/bin/setsid")
      // As from a shell that has the terminal; it says how it finds it afterwards.
      let script = #"file=$1; shift; "$@"; code=$?; stty -a > "$file"; exit $code"#
      watcher.arguments = [
        "--ctty", "--wait", "bash", "-c", script, "bash", scratch("stty"), Command.path, "watch", scratch("run"),
      ]
      (watcher.standardInput, watcher.standardOutput) = (
        FileHandle(fileDescriptor: user), FileHandle(fileDescriptor: user)
      )
      watcher.standardError = try scratch.handle("errors")
      watcher.environment = ProcessInfo.processInfo.environment.filter { $0.key != "NO_COLOR" }
      try Command.withSignalsUnblocked { try watcher.run() }
      // Whatever happens, nobody waits for it.
      defer { if watcher.isRunning { kill(watched(watcher), SIGKILL) } }
      var shown: [UInt8] = []
      func read(until ending: String) {
        for _ in 0..<500 where !String(decoding: shown, as: UTF8.self).contains(ending) {
          var ready = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0),
            bytes = [UInt8](repeating: 0, count: 4096)
          guard poll(&ready, 1, 20) > 0, case let count = Foundation.read(terminal, &bytes, bytes.count), count > 0
          else { continue }
          shown += bytes[..<count]
        }
      }
      read(until: "step 20")
      #expect(tcgetattr(terminal, &during) == 0 && during.c_lflag & tcflag_t(ICANON | ECHO) == 0)
      if key.isEmpty {
        kill(watched(watcher), SIGTERM)
      } else {
        _ = write(terminal, key, key.utf8.count)
      }
      read(until: "\u{1B}[?1049l")
      for _ in 0..<500 where watcher.isRunning { usleep(20_000) }
      try #require(!watcher.isRunning)
      let text = String(decoding: shown, as: UTF8.self)
      #expect(text.hasPrefix("\u{1B}[?1049h\u{1B}[?25l") && text.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
      #expect(text.contains("not running, and not at its end") && text.contains("\u{1B}[36m"))
      #expect(try watcher.terminationStatus == 0 && scratch.text("errors").isEmpty)
      let settings = try scratch.text("stty").split(separator: " ")
      #expect(settings.contains("icanon") && settings.contains("echo"))
      close(user)
    }

    /// The command itself, below what has started it.
    private func watched(_ process: Process) -> pid_t {
      var last = process.processIdentifier
      while let child = Command.children(of: last).first { last = child }
      return last
    }
  }
}
