import Foundation
import Synchronization
import Testing
import Training

extension CommandTests {
  /// Whatever ends a run or keeps it from saving: the state before stays, and resumed it ends with the same bytes.
  ///
  /// `launch/faults` runs this in its long form: LINEUP_FAULTS=long, with LINEUP_FAULTS_SEED for other moments.
  @Suite(.serialized) struct FaultTests {
    private let scratch: Scratch, data: String
    private static let isLong = ProcessInfo.processInfo.environment["LINEUP_FAULTS"] == "long"
    private static let seed = ProcessInfo.processInfo.environment["LINEUP_FAULTS_SEED"].flatMap { UInt64($0) } ?? 1
    /// As small as Lineup goes: a run of a few steps takes a fifth of a second, most of it to start.
    private static let small =
      Tiny.training
      + Tiny.settings(
        "model.head=baseline", "model.stages=[4]", "model.width=0.0157", "checkpoint.everySteps=1",
        "log.everySteps=1000", "lossScale.initial=32768")

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func command(_ run: String, resume: Bool = false, _ settings: String...) -> [String] {
      ["train", "--data", data, "--output", run] + Self.small + Tiny.settings("schedule.epochs=1000")
        + settings.flatMap { ["--set", $0] } + (resume ? ["--resume"] : [])
    }

    /// What a run can go on from after whatever happened to it, or what is wrong with it.
    private static func standing(_ run: String) -> (step: Int, problems: [String]) {
      let folder = CheckpointFolder(path: "\(run)/checkpoints")
      var problems: [String] = []
      do {
        guard let (checkpoint, passedOver) = try folder.toResume() else { return (0, []) }
        // Between the first checkpoint and its pointer there is none yet.
        problems += passedOver.filter { !$0.hasSuffix("latest: missing") }
        if !checkpoint.folder.hasSuffix("/" + CheckpointFolder.name(checkpoint.state.step)) {
          problems.append("\(checkpoint.folder) taken for step \(checkpoint.state.step)")
        }
        for generation in folder.contents().own where generation.problem == nil {
          _ = try Checkpoint(path: "\(run)/checkpoints/\(generation.name)")
        }
        for (name, target) in folder.marks where FileManager.default.fileExists(atPath: "\(run)/checkpoints/\(name)") {
          if let target {
            _ = try Checkpoint(path: "\(run)/checkpoints/\(target)")
          } else {
            problems.append("the \(name) checkpoint is gone")
          }
        }
        return (checkpoint.state.step, problems)
      } catch {
        return (0, problems + ["\(error)"])
      }
    }

    private static func partials(_ run: String) -> [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")) ?? []).filter {
        $0.hasPrefix(".step-") && $0.contains("partial")
      }
    }

    // MARK: - Killed

    @Test(arguments: [nil, 2] as [Int?]) func killedAtAnyMomentItGoesOn(_ ranks: Int?) throws {
      let wanted = Self.isLong ? 120 : 4, steps = ranks == nil ? 240 : 120
      let settings = ["schedule.maxSteps=\(steps)", "checkpoint.keep=2"]
      func command(_ run: String, resume: Bool = false) -> [String] {
        self.command(scratch(run), resume: resume, settings[0], settings[1])
      }
      let start = Date(), reference = RunFiles(path: scratch("whole"))
      var first = 0.0
      let whole = try Command.run(command("whole"), ranks: ranks) { _ in
        if first == 0 && reference.steps > 0 { first = Date().timeIntervalSince(start) }
      }
      try #require(whole.code == 0 && first > 0, "\(whole.errors)")

      var random = Generator(state: Self.seed &+ UInt64(ranks ?? 1))
      var kills = 0, whileSaving = 0, finished = 0, byVictim: [String: Int] = [:], step = 0
      var run = "killed-0"
      var isBegun = false
      while kills < wanted || isBegun {
        // The last one is left alone.
        let isLast = kills >= wanted
        let waitsForSave = kills % 2 == 1, delay = Double.random(in: 0...1.3 * first, using: &random)
        let pause = UInt32.random(in: 0...4000, using: &random)
        let victim =
          ranks == nil ? "the process" : ["rank 0", "rank 1", "both ranks", "mpirun"].randomElement(using: &random)!
        let begun = Date(), before = Set(Self.partials(scratch(run)))
        var isSent = false
        var others: [pid_t] = []
        let path = scratch(run)
        let outcome = try Command.run(command(run, resume: isBegun), ranks: ranks) { process in
          if ranks != nil && others.count < 2 { others = Mpirun.ranks(of: process) }
          guard !isLast, !isSent else { return }
          if waitsForSave {
            guard Date().timeIntervalSince(begun) > 0.5 * first, !before.isSuperset(of: Self.partials(path)) else {
              return
            }
            usleep(pause)
          } else if Date().timeIntervalSince(begun) < delay {
            return
          }
          if victim.contains("rank") && others.count < 2 { return }
          switch victim {
          case "rank 0": kill(others[0], SIGKILL)
          case "rank 1": kill(others[1], SIGKILL)
          case "both ranks": for other in others { kill(other, SIGKILL) }
          default: kill(process, SIGKILL)
          }
          isSent = true
        }
        // Ranks without mpirun checkpoint and end by themselves.
        let end = Date(timeIntervalSinceNow: 15)
        while others.contains(where: Command.isRunning), Date() < end { usleep(10_000) }
        #expect(!others.contains(where: Command.isRunning), "ranks are left after \(victim) was killed")
        isBegun = FileManager.default.fileExists(atPath: path)
        let what = "kill \(kills + 1) of \(victim) (seed \(Self.seed))"
        if outcome.code == 0 {
          try RunFiles(path: path).expectSameEnd(as: reference, steps: steps)
          finished += 1
          (run, isBegun, step) = ("killed-\(finished)", false, 0)
          try FileManager.default.removeItem(atPath: path)
          if isLast { break }
          continue
        }
        try #require(isSent, "\(what): exit code \(outcome.code)\n\(outcome.errors.suffix(2000))")
        kills += 1
        byVictim[victim, default: 0] += 1
        if !before.isSuperset(of: Self.partials(path)) { whileSaving += 1 }
        let (reached, problems) = Self.standing(path)
        try #require(problems.isEmpty, "\(what): \(problems)")
        #expect(reached >= step, "\(what): went back from step \(step) to \(reached)")
        step = reached
      }
      let victims = byVictim.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
      print(
        "faults: \(ranks ?? 1) rank(s), seed \(Self.seed): \(kills) SIGKILLs (\(victims)), \(whileSaving) of them left a "
          + "checkpoint half written; \(finished) runs ended with the same bytes")
      #expect(kills == wanted && whileSaving >= wanted / 4 && finished > 0)
    }

    // MARK: - Every system call

    private struct Fault {
      let kind: String, number: Int
    }

    /// The step whose save fails; the first ones of a run are skipped while the loss scale settles.
    private static let last = 20

    @Test func everySystemCallOfASaveFails() throws {
      let library = scratch("faults.so")
      try Self.compile(library)
      // Four checkpoints, one of them marked as the best; the next step proves the last, saves, prunes the two others, and is
      // evaluated.
      let base = scratch("base")
      try Command.succeed(command(base, "schedule.maxSteps=\(Self.last - 1)", "checkpoint.keep=4"))
      try (RunFiles.name(Self.last - 3) + "\n").write(
        toFile: "\(base)/checkpoints/best", atomically: true, encoding: .utf8)
      let metrics = try #require(FileHandle(forWritingAtPath: "\(base)/metrics.jsonl"))
      try metrics.seekToEnd()
      try metrics.write(contentsOf: Data("{\"step\": \(Self.last - 3), \"mAP\": 1.0}\n".utf8))
      let files = FileManager.default
      let last = ["schedule.maxSteps=\(Self.last)", "checkpoint.keep=1"]
      let arguments = command("RUN", resume: true, last[0], last[1])
      @Sendable func resume(_ run: String, _ environment: [String: String] = [:]) throws -> Command.Outcome {
        // The short form begins with the folder that the checkpoint is written in.
        let from = Self.isLong || environment.isEmpty ? [:] : ["FAULTS_FROM": "mkdir"]
        return try Command.run(arguments.map { $0 == "RUN" ? run : $0 }, environment: environment.merging(from) { $1 })
      }
      let whole = scratch("whole")
      try files.copyItem(atPath: base, toPath: whole)
      try #require(try resume(whole).code == 0)

      // A dry run: the calls, in their order.
      let counted = scratch("counted")
      try files.copyItem(atPath: base, toPath: counted)
      let dry = try resume(
        counted, ["LD_PRELOAD": library, "FAULTS_BELOW": counted, "FAULTS_LOG": scratch("counted.log")])
      try #require(dry.code == 0, "\(dry.errors)")
      let calls = try scratch.text("counted.log").split(separator: "\n").map {
        $0.split(separator: " ", maxSplits: 2).map(String.init)
      }
      try #require(
        calls.count > 100
          && calls.enumerated().allSatisfy { $0.element.count == 3 && Int($0.element[0]) == $0.offset + 1 })
      for kind in ["mkdir", "open", "look", "write", "fsync", "close", "rename", "unlink"] {
        #expect(calls.contains { $0[1] == kind }, "no \(kind) among the calls: is the library in their way?")
      }
      // The short form leaves out most of the writes, which are many and alike, and ends the process before every other call.
      var faults: [Fault] = []
      for kind in Self.isLong ? ["eio", "enospc", "short", "before", "after"] : ["eio", "before"] {
        for (index, call) in calls.enumerated() {
          let isWrite = call[1] == "write" || call[1] == "pwrite"
          if kind == "short" && !isWrite { continue }
          if !Self.isLong && (isWrite && index % 60 != 0 || kind == "before" && (call[1] == "look" || index % 2 == 1)) { continue }
          faults.append(Fault(kind: kind, number: index + 1))
        }
      }
      let reference = RunFiles(path: whole)
      let problems = Mutex<[String]>([]), tally = Mutex<[String: Int]>([:])
      let lanes = min(8, ProcessInfo.processInfo.activeProcessorCount), folder = scratch.path
      let queue = Mutex(faults[...])
      DispatchQueue.concurrentPerform(iterations: lanes) { lane in
        while let fault = queue.withLock({ $0.popFirst() }) {
          let files = FileManager.default, run = "\(folder)/run-\(lane)", log = "\(folder)/log-\(lane)"
          func note(_ text: String) {
            problems.withLock { $0.append("\(fault.kind) at call \(fault.number): \(text)") }
          }
          do {
            try? files.removeItem(atPath: log)
            if !files.fileExists(atPath: run) { try files.copyItem(atPath: base, toPath: run) }
            let outcome = try resume(
              run,
              [
                "LD_PRELOAD": library, "FAULTS_BELOW": run, "FAULTS_AT": "\(fault.number)", "FAULTS_KIND": fault.kind,
                "FAULTS_LOG": log,
              ])
            let injected = ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").map {
              $0.split(separator: " ", maxSplits: 4).map(String.init)
            }
            guard injected.count == 1, injected[0].count == 5 else {
              note("not injected, exit code \(outcome.code)")
              continue
            }
            tally.withLock { $0[fault.kind, default: 0] += 1 }
            let (call, path) = (injected[0][3], injected[0][4])
            if let wrong = Self.judge(outcome, fault.kind, call: call, path: path, run: run) {
              note("\(call) \(path): \(wrong)")
            }
            let (step, wrong) = Self.standing(run)
            if !wrong.isEmpty || step < Self.last - 1 { note("step \(step) to go on from; \(wrong)") }
            // In the short form the run that the next fault meets goes on from what this one left.
            if !Self.isLong, wrong.isEmpty, step == Self.last - 1, queue.withLock({ !$0.isEmpty }) { continue }
            let after = try resume(run)
            if after.code != 0 { note("resumed: exit code \(after.code): \(after.errors.suffix(300))") }
            if let wrong = Self.difference(RunFiles(path: run), reference) { note("resumed: \(wrong)") }
            try files.removeItem(atPath: run)
          } catch {
            note("\(error)")
          }
        }
      }
      let counts = tally.withLock { $0 }
      print(
        "faults: \(calls.count) system calls of a resumed step with its save; made to fail: "
          + counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
      let found = problems.withLock { $0 }
      #expect(found.isEmpty, "\(found.count) problems:\n\(found.prefix(20).joined(separator: "\n"))")
      #expect(counts.values.reduce(0, +) == faults.count && !counts.isEmpty)
    }

    /// What is wrong with how a process ended whose system call failed; nil where nothing is.
    private static func judge(_ outcome: Command.Outcome, _ kind: String, call: String, path: String, run: String)
      -> String?
    {
      if kind == "before" || kind == "after" { return outcome.code == 99 ? nil : "exit code \(outcome.code)" }
      let lines = outcome.complaints
      let isTold = [65, 70].contains(outcome.code) && lines.count == 1 && lines[0].contains(run)
      // What is only read is read again or passed over; the log, a lock or a replaced folder that is left, and metrics that
      // are closed after everything was written, end no run.
      let isHarmless =
        call == "look" || path.hasSuffix("/log.txt") || path.hasSuffix("/lock") || path.contains(".replaced-")
        || call == "close" && path.hasSuffix("/metrics.jsonl")
      if isHarmless && (isTold || outcome.code == 0 && lines.isEmpty) { return nil }
      return isTold && outcome.code == 70 ? nil : "exit code \(outcome.code): \(lines)"
    }

    private static func difference(_ mine: RunFiles, _ other: RunFiles) -> String? {
      for name in ["model.safetensors", "optimizer.safetensors", "state.json", "config.yaml", "manifest.json"] {
        let path = "checkpoints/\(RunFiles.name(last))/\(name)"
        guard let bytes = mine.bytes(path), bytes == other.bytes(path) else { return "\(name) differs" }
      }
      if mine.latest != RunFiles.name(last) { return "latest is \(mine.latest ?? "missing")" }
      guard let steps = try? mine.metrics().trainingSteps, steps == Array(1...last) else {
        return "metrics.jsonl has other steps"
      }
      return partials(mine.path).isEmpty ? nil : "partial folders are left"
    }

    private static func compile(_ library: String) throws {
      let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Faults/faults.c")
        .path
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"]
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0, "faults.c does not compile")
    }

    // MARK: - A full disk

    @Test func aFullDiskKeepsTheLastCheckpoint() throws {
      let disk = scratch("disk"), steps = 20
      try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
      guard Self.shell("mount -t tmpfs -o size=64m tmpfs '\(disk)'") == 0 else {
        print("faults: a full disk is left out: no tmpfs can be mounted here (not root?)")
        return
      }
      defer { _ = Self.shell("umount '\(disk)'") }
      let settings = ["schedule.maxSteps=\(steps)", "checkpoint.keep=100"]
      try Command.succeed(command(scratch("whole"), settings[0], settings[1]))
      let reference = RunFiles(path: scratch("whole"))
      // Half a checkpoint to most of the run, in steps that are no multiple of anything.
      let sizes = Self.isLong ? Array(stride(from: 100, to: 1400, by: 29)) : [100, 700, 1300]
      var full = 0
      for size in sizes {
        let run = "\(disk)/run"
        try? FileManager.default.removeItem(atPath: run)
        try #require(Self.shell("mount -o remount,size=\(size)k '\(disk)'") == 0)
        let outcome = try Command.run(command(run, settings[0], settings[1]))
        let lines = outcome.complaints
        #expect(
          outcome.code == 70 && lines.count == 1 && lines[0].contains(run) && lines[0].contains("No space left"),
          "\(size) KiB: exit code \(outcome.code): \(outcome.errors.suffix(500))")
        if outcome.code == 70 { full += 1 }
        let (_, problems) = Self.standing(run)
        #expect(problems.isEmpty, "\(size) KiB: \(problems)")
        try #require(Self.shell("mount -o remount,size=64m '\(disk)'") == 0)
        let resumed = try Command.run(command(run, resume: true, settings[0], settings[1]))
        #expect(resumed.code == 0, "\(size) KiB: \(resumed.errors.suffix(500))")
        try RunFiles(path: run).expectSameEnd(as: reference, steps: steps)
      }
      print("faults: \(full) full disks of \(sizes[0]) to \(sizes[sizes.count - 1]) KiB")
      #expect(full == sizes.count)
    }

    private static func shell(_ script: String) -> Int32 {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", script]
      process.standardError = FileHandle.nullDevice
      guard (try? process.run()) != nil else { return -1 }
      process.waitUntilExit()
      return process.terminationStatus
    }
  }
}

/// SplitMix64.
struct Generator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
