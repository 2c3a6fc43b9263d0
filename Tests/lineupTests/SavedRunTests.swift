import Foundation
import Testing
import Training

extension UntimedCommandTests {
  /// What a run has saved is never lost, and never begun anew by mistake.
  @Suite(.serialized) struct SavedRunTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    /// Eight steps an epoch, a checkpoint every four.
    private func train(_ run: String, epochs: Int, _ options: String...) -> [String] {
      ["train", "--data", data, "--output", scratch(run)] + Tiny.training
        + Tiny.settings(
          "schedule.epochs=\(epochs)", "checkpoint.everySteps=4", "checkpoint.keep=3") + options
    }

    private func checkpoints(_ run: String) throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: scratch("\(run)/checkpoints")).filter {
        !["best", "proven"].contains($0)
      }.sorted()
    }

    private func put(_ text: String, _ path: String) throws {
      try text.write(toFile: scratch(path), atomically: false, encoding: .utf8)
    }

    /// An older `latest` chosen by hand, later ones present, keep=1, a signal.
    @Test func pruningNeverTakesWhatWasJustWritten() throws {
      try Command.succeed(train("run", epochs: 3))
      #expect(try checkpoints("run") == ["latest", "step-00000016", "step-00000020", "step-00000024"])
      try put("step-00000016\n", "run/checkpoints/latest")
      let files = RunFiles(path: scratch("run"))
      var isSent = false
      let outcome = try Command.run(
        train("run", epochs: 300, "--resume", "--set", "checkpoint.keep=1", "--set", "checkpoint.everySteps=0")
      ) { process in
        guard !isSent, (try? files.metrics().trainingSteps.last) ?? 0 >= 17,
          files.log.contains("step-00000016: step 16")
        else { return }
        kill(process, SIGTERM)
        isSent = true
      }
      #expect(outcome.code == 75, "\(outcome.errors)")
      let state = try Checkpoint(path: scratch("run")).state
      #expect(files.latest == RunFiles.name(state.step) && outcome.output.contains("after step \(state.step)\n"))
      #expect(try files.metrics().trainingSteps == Array(1...state.step))
      // The newest good one by number stays too, whatever wrote it.
      #expect(try checkpoints("run").contains("step-00000024") || state.step >= 24)
    }

    @Test(arguments: ["missing", "empty", "dangling", "manifest", "damaged", "path"])
    func resumingFallsBackToTheNewestGoodOne(_ what: String) throws {
      try Command.succeed(train("whole", epochs: 4))
      try Command.succeed(train("run", epochs: 3))
      let pointer = "run/checkpoints/latest", newest = scratch("run/checkpoints/step-00000024"),
        files = FileManager.default
      switch what {
      case "missing": try files.removeItem(atPath: scratch(pointer))
      case "empty": try put("", pointer)
      case "dangling": try files.removeItem(atPath: newest)
      case "manifest": try files.removeItem(atPath: newest + "/manifest.json")
      case "path": try put("../../elsewhere", pointer)
      default: try put("no tensors", "run/checkpoints/step-00000024/optimizer.safetensors")
      }
      let lines = try RunFiles(path: scratch("run")).metrics().trainingSteps
      #expect(lines == Array(1...24))
      let isThere = ["missing", "empty", "path"].contains(what), from = isThere ? 24 : 20
      // Its own network too, without being told.
      let outcome = try Command.run(
        ["train", "--data", data, "--output", scratch("run"), "--resume"] + Tiny.settings("schedule.epochs=4"))
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(
        outcome.output.contains("passed over: ") && outcome.output.contains("going on from the newest good checkpoint"))
      #expect(
        outcome.output.contains("resumed from \(scratch("run"))/checkpoints/\(RunFiles.name(from)): step \(from)"))
      let mine = RunFiles(path: scratch("run")), whole = RunFiles(path: scratch("whole"))
      #expect(try mine.metrics().trainingSteps == Array(1...32))
      for name in ["model.safetensors", "optimizer.safetensors"] {
        let path = "checkpoints/\(RunFiles.name(32))/\(name)"
        #expect(mine.bytes(path) == whole.bytes(path) && mine.bytes(path) != nil, "\(name)")
      }
    }

    @Test func withoutAGoodOneNothingIsBegun() throws {
      try Command.succeed(train("run", epochs: 1))
      let before = RunFiles(path: scratch("run")).bytes("metrics.jsonl")
      for name in try checkpoints("run") where name != "latest" {
        try FileManager.default.removeItem(atPath: scratch("run/checkpoints/\(name)/manifest.json"))
      }
      for ranks in [nil, 2] as [Int?] {
        let outcome = try Command.run(train("run", epochs: 2, "--resume"), ranks: ranks)
        #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.errors)")
        #expect(outcome.complaints.first?.contains("manifest.json: missing") == true)
      }
      let anew = try Command.run(train("run", epochs: 2))
      #expect(anew.code == 64 && anew.complaints.first?.contains("--restart") == true, "\(anew.errors)")
      #expect(RunFiles(path: scratch("run")).bytes("metrics.jsonl") == before)
      // Asked for by name, it begins anew, and what was there is put aside.
      let outcome = try Command.succeed(train("run", epochs: 1, "--restart"))
      #expect(outcome.output.contains("before-restart-1"))
      #expect(RunFiles(path: scratch("run/before-restart-1")).bytes("metrics.jsonl") == before)
      #expect(try checkpoints("run/before-restart-1").count == 3)
    }

    @Test func aCopyUnderAnotherNameIsSomebodysOwn() throws {
      try Command.succeed(train("run", epochs: 1))
      let files = FileManager.default
      try files.copyItem(
        atPath: scratch("run/checkpoints/step-00000004"), toPath: scratch("run/checkpoints/step-00000005-mine"))
      try files.copyItem(
        atPath: scratch("run/checkpoints/step-00000004"), toPath: scratch("run/checkpoints/step-00000005"))
      try Command.succeed(train("run", epochs: 4, "--resume", "--set", "checkpoint.keep=1"))
      let best = try #require(CheckpointFolder(path: scratch("run/checkpoints")).best)
      let kept = Set(["latest", "step-00000005", "step-00000005-mine", "step-00000028", "step-00000032", best])
      #expect(try checkpoints("run") == kept.sorted())
      let list = try Command.succeed(["checkpoint", "list", scratch("run")])
      #expect(list.output.contains("step-00000032  ") && list.output.contains("step-00000005-mine  not the run's own"))
      try Command.succeed(["checkpoint", "verify", scratch("run")])
      // It can be gone on from, into a folder of its own.
      let outcome = try Command.succeed(
        train("other", epochs: 1, "--resume-from", scratch("run/checkpoints/step-00000005-mine")))
      #expect(outcome.output.contains("step-00000005-mine: step 4"))
      let mixed = try Command.run(train("run", epochs: 5, "--resume-from", scratch("other")))
      #expect(mixed.code == 64 && mixed.complaints.first?.contains("a run of its own") == true)
    }

    @Test func verifyAndPrune() throws {
      try Command.succeed(train("run", epochs: 2))
      let removed = try Command.succeed(["checkpoint", "prune", scratch("run"), "--keep", "1"])
      #expect(removed.output == "removed step-00000008\n")
      try FileManager.default.removeItem(atPath: scratch("run/checkpoints/step-00000012"))
      try put("{", "run/checkpoints/step-00000016/state.json")
      let verified = try Command.run(["checkpoint", "verify", scratch("run")])
      #expect(verified.code == 65 && verified.complaints.first?.contains("state.json") == true)
      // The only one there is stays, even damaged.
      let kept = try Command.succeed(["checkpoint", "prune", scratch("run"), "--keep", "1"])
      #expect(kept.output == "nothing to remove\n")
      // Damage that only reading shows: the newest good one is another.
      try Command.succeed(train("other", epochs: 2))
      let model = scratch("other/checkpoints/step-00000016/model.safetensors")
      var bytes = try Data(contentsOf: URL(fileURLWithPath: model))
      bytes[bytes.count / 2] ^= 255
      try bytes.write(to: URL(fileURLWithPath: model))
      for name in ["best", "proven"] {
        try FileManager.default.removeItem(atPath: scratch("other/checkpoints/\(name)"))
      }
      try Command.succeed(["checkpoint", "prune", scratch("other"), "--keep", "1"])
      #expect(try checkpoints("other").contains("step-00000012"))
      try Command.succeed(train("other", epochs: 2, "--resume"))
      #expect(try Command.run(["checkpoint", "list", scratch("none")]).code == 65)
    }

    @Test(arguments: [
      "\"version\" : 99", "\"step\" : -1", "\"step\" : 9223372036854775807", "\"updates\" : -5", "\"skipped\" : -1",
      "\"scale\" : 1e400", "\"scale\" : 0", "\"cleanSteps\" : 99999",
    ])
    func aForgedStateIsRefused(_ forged: String) throws {
      try Command.succeed(train("run", epochs: 1))
      let folder = scratch("run/checkpoints/step-00000008"), key = forged.prefix { $0 != ":" }
      let text = try scratch.text("run/checkpoints/step-00000008/state.json").split(separator: "\n").map { line in
        line.contains(key) ? "\(forged)\(line.hasSuffix(",") ? "," : "")" : String(line)
      }
      try put(text.joined(separator: "\n"), "run/checkpoints/step-00000008/state.json")
      let manifest = try Command.run(["checkpoint", "verify", scratch("run")])
      #expect(manifest.code == 65)
      try rewriteManifest(folder)
      let outcome = try Command.run(["evaluate", "--checkpoint", folder, "--data", data])
      #expect(outcome.code == 65 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
      #expect(outcome.complaints.first?.contains("state.json") == true)
    }

    /// What a manifest does not list is compared with nothing.
    @Test func aManifestThatListsNothingIsNotGood() throws {
      try Command.succeed(train("run", epochs: 1))
      let folder = scratch("run/checkpoints/step-00000008")
      try put("{\"folder\": \"step-00000008\", \"files\": []}", "run/checkpoints/step-00000008/manifest.json")
      let evaluated = try Command.run(["evaluate", "--checkpoint", folder, "--data", data])
      #expect(evaluated.code == 65 && evaluated.complaints.first?.contains("manifest.json: lists ") == true)
      #expect(try Command.run(["checkpoint", "verify", scratch("run")]).code == 65)
      let resumed = try Command.succeed(train("run", epochs: 2, "--resume"))
      #expect(resumed.output.contains("resumed from \(scratch("run"))/checkpoints/step-00000004"))
    }

    /// Whose checkpoints are somewhere else now.
    @Test(arguments: [[], ["--resume"]]) func aRunWithoutItsCheckpointsIsPutAside(_ options: [String]) throws {
      try Command.succeed(train("run", epochs: 1))
      try FileManager.default.removeItem(atPath: scratch("run/checkpoints"))
      let before = RunFiles(path: scratch("run")).bytes("metrics.jsonl")
      let outcome = try Command.succeed(train("run", epochs: 1) + options)
      #expect(outcome.output.contains("before-restart-1"))
      #expect(RunFiles(path: scratch("run/before-restart-1")).bytes("metrics.jsonl") == before)
    }

    @Test func aFinishedRunGoesOnInAnotherFolder() throws {
      try Command.succeed(train("run", epochs: 1))
      let outcome = try Command.succeed(train("new", epochs: 1, "--resume-from", scratch("run")))
      #expect(outcome.output.contains("evaluation after 8 steps"))
      #expect(RunFiles(path: scratch("new")).latest == RunFiles.name(8))
      #expect(RunFiles(path: scratch("new")).bytes("checkpoints/best") != nil)
    }

    /// A pipe in a file's place is neither waited for nor written to.
    @Test(arguments: ["config.yaml", "log.txt"]) func pipesAreRefused(_ name: String) throws {
      try Command.succeed(train("run", epochs: 1))
      try FileManager.default.removeItem(atPath: scratch("run/\(name)"))
      try #require(mkfifo(scratch("run/\(name)"), 0o600) == 0)
      let outcome = try Command.run(train("run", epochs: 2, "--resume"), timeout: 20)
      #expect([65, 70].contains(outcome.code) && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
    }

    @Test func aPipeInThePlaceOfLatestIsPassedOverAndReplaced() throws {
      try Command.succeed(train("run", epochs: 1))
      try FileManager.default.removeItem(atPath: scratch("run/checkpoints/latest"))
      try #require(mkfifo(scratch("run/checkpoints/latest"), 0o600) == 0)
      let outcome = try Command.succeed(train("run", epochs: 2, "--resume"))
      #expect(outcome.output.contains("passed over: \(scratch("run"))/checkpoints/latest: not a regular file"))
      #expect(RunFiles(path: scratch("run")).latest == RunFiles.name(16))
    }

    @Test(arguments: ["checkpoints/latest", "checkpoints/proven", "config.yaml", "metrics.jsonl", "log.txt", "lock"])
    func aFolderInAFilesPlaceIsFoundAtTheStart(_ name: String) throws {
      try Command.succeed(train("run", epochs: 1))
      try? FileManager.default.removeItem(atPath: scratch("run/\(name)"))
      try FileManager.default.createDirectory(atPath: scratch("run/\(name)"), withIntermediateDirectories: false)
      let outcome = try Command.run(train("run", epochs: 2, "--resume"))
      #expect(outcome.code == 64 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
      #expect(outcome.complaints.first?.contains("\(scratch("run/\(name)")): is a folder") == true)
    }

    @Test func aLinkInThePlaceOfTheLockIsRefused() throws {
      try put("somebody's", "file")
      try FileManager.default.createDirectory(atPath: scratch("run"), withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(atPath: scratch("run/lock"), withDestinationPath: scratch("file"))
      let outcome = try Command.run(train("run", epochs: 1))
      #expect(outcome.code == 64 && outcome.complaints.first?.contains("run/lock: is a symbolic link") == true)
      #expect(try scratch.text("file") == "somebody's")
    }

    /// What is written there would be taken for that run's own, and removed.
    @Test func aRunDoesNotLieAmongCheckpoints() throws {
      try Command.succeed(train("run", epochs: 1))
      let before = try checkpoints("run")
      try FileManager.default.createSymbolicLink(
        atPath: scratch("link"), withDestinationPath: scratch("run/checkpoints"))
      for output in [
        "run/checkpoints", "run/checkpoints/", "run/checkpoints/new/one", "run/checkpoints/step-00000008",
        "run/checkpoints/step-00000008/new", "run/../run/checkpoints/new", "link/new",
      ] {
        for options in [[], ["--restart"], ["--resume"]] {
          let outcome = try Command.run(train(output, epochs: 1) + options)
          let line = outcome.complaints.first ?? ""
          #expect(outcome.code == 64 && outcome.complaints.count == 1, "\(output): \(outcome.code) \(outcome.errors)")
          #expect(line.contains(scratch("run")) && line.contains("choose another --output"), "\(line)")
        }
      }
      #expect(try checkpoints("run") == before)
      try Command.succeed(["checkpoint", "verify", scratch("run")])
      // A run's folder may lie in another run's.
      try Command.succeed(train("run/within", epochs: 1))
    }

    /// A pointer whose checkpoint is damaged too is no further checkpoint.
    @Test func verifyCountsCheckpoints() throws {
      try Command.succeed(train("run", epochs: 2))
      for name in try checkpoints("run") where name != "latest" {
        try FileManager.default.removeItem(atPath: scratch("run/checkpoints/\(name)/manifest.json"))
      }
      let outcome = try Command.run(["checkpoint", "verify", scratch("run")])
      #expect(outcome.code == 65 && outcome.complaints.first?.contains("(and 2 more)") == true, "\(outcome.errors)")
      #expect(outcome.output.contains("latest  names no checkpoint that is there"))
    }

    /// As somebody who may not read everything, which root always may.
    @Test func whatMayNotBeReadIsSaid() throws {
      try Command.succeed(train("run", epochs: 1))
      let prefix = geteuid() == 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : []
      func line(_ arguments: [String], _ code: Int32) throws -> String {
        let outcome = try Command.run(arguments, prefix: prefix)
        #expect(outcome.code == code && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
        return outcome.complaints.first ?? ""
      }
      for name in ["run", "run/checkpoints", "run/checkpoints/step-00000008"] {
        let path = scratch(name)
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path)
        let evaluated = try line(["evaluate", "--checkpoint", scratch("run"), "--data", data], 65)
        #expect(evaluated.contains("\(path)/") && evaluated.contains("Permission denied"), "\(evaluated)")
        if name != "run" {
          let resumed = try line(train("run", epochs: 2, "--resume"), 70)
          #expect(resumed.contains("\(path): Permission denied"), "\(resumed)")
        }
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
      }
      try Command.succeed(train("run", epochs: 2, "--resume"))
    }

    /// As a forger would: sizes and sums that fit.
    private func rewriteManifest(_ folder: String) throws {
      let script = """
        import hashlib, json, os, sys
        d = sys.argv[1]; names = sorted(n for n in os.listdir(d) if n != "manifest.json")
        data = {n: open(f"{d}/{n}", "rb").read() for n in names}
        json.dump({"folder": os.path.basename(d), "files": [{"name": n, "bytes": len(b),
          "sha256": hashlib.sha256(b).hexdigest()} for n, b in data.items()]}, open(f"{d}/manifest.json", "w"))
        """
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["python3", "-c", script, folder]
      try process.run()
      process.waitUntilExit()
      try #require(process.terminationStatus == 0)
    }

    /// Saved first, then evaluated: a run that ends between the two is evaluated when it goes on.
    @Test func aFailingEvaluationLosesNothing() throws {
      try Command.succeed(train("whole", epochs: 2, "--set", "evaluation.everyEpochs=1"))
      // No query can be decoded, which only the evaluation finds.
      let damaged = try scratch.dataset("damaged")
      for name in try FileManager.default.contentsOfDirectory(atPath: "\(damaged)/query") {
        try "text".write(toFile: "\(damaged)/query/\(name)", atomically: false, encoding: .utf8)
      }
      var arguments = train("run", epochs: 2, "--set", "evaluation.everyEpochs=1")
      arguments[2] = damaged
      let outcome = try Command.run(arguments)
      #expect(
        outcome.code == 65 && outcome.complaints.first?.contains("cannot be decoded") == true, "\(outcome.errors)")
      let files = RunFiles(path: scratch("run"))
      #expect(files.latest == RunFiles.name(8))
      try Command.succeed(train("run", epochs: 2, "--set", "evaluation.everyEpochs=1", "--resume"))
      let mine = try files.metrics(), whole = try RunFiles(path: scratch("whole")).metrics()
      #expect(mine.filter { $0["mAP"] != nil }.integers("step") == [8, 16])
      #expect(mine.compactMap { $0["mAP"] } == whole.compactMap { $0["mAP"] })
      #expect(mine.integers("epoch") == whole.integers("epoch") && whole.integers("epoch").max() == 2)
      for name in ["model.safetensors", "state.json"] {
        let path = "checkpoints/\(RunFiles.name(16))/\(name)"
        #expect(files.bytes(path) == RunFiles(path: scratch("whole")).bytes(path), "\(name)")
      }
      #expect(files.bytes("checkpoints/best") == RunFiles(path: scratch("whole")).bytes("checkpoints/best"))
    }

    /// The lock alone, with another job that starts then, or the whole folder.
    @Test(arguments: ["lock", "moved", "removed"]) func aLockThatIsTakenAwayEndsTheJob(_ what: String) throws {
      let files = RunFiles(path: scratch("run"))
      var second: Command.Outcome?, isDone = false
      let outcome = try Command.run(train("run", epochs: 40000)) { _ in
        guard !isDone, files.steps > 10 else { return }
        isDone = true
        switch what {
        case "lock":
          unlink(scratch("run/lock"))
          second = try? Command.run(train("run", epochs: 40, "--resume"))
        case "moved": rename(scratch("run"), scratch("elsewhere"))
        default: while (try? FileManager.default.removeItem(atPath: scratch("run"))) == nil {}
        }
      }
      #expect(outcome.code == 70 && outcome.complaints.count == 1, "\(outcome.code) \(outcome.errors)")
      #expect(
        outcome.complaints.first?.contains("\(scratch("run/lock")): was taken away while this job ran") == true)
      if what == "lock" {
        #expect(second?.code == 0, "\(second?.errors ?? "")")
        #expect(files.latest == RunFiles.name(320) && (try? files.metrics().trainingSteps) == Array(1...320))
      } else {
        #expect(!FileManager.default.fileExists(atPath: scratch("run")))
      }
    }

    @Test func twoJobsDoNotMeetInOneFolder() throws {
      let first = train("run", epochs: 4000)
      let files = RunFiles(path: scratch("run"))
      var second: Command.Outcome?
      let outcome = try Command.run(first) { process in
        guard second == nil, files.steps > 10 else { return }
        second = try? Command.run(train("run", epochs: 1, "--resume"))
        kill(process, SIGTERM)
      }
      #expect(outcome.code == 75)
      #expect(second?.code == 64 && second?.complaints.count == 1)
      #expect(
        second?.complaints.first?.contains("another job writes there: process ") == true, "\(second?.errors ?? "")")
      // A lock that nobody holds any more is no obstacle.
      try put("{\"host\":\"\(ProcessInfo.processInfo.hostName)\",\"process\":1}", "run/lock")
      try Command.succeed(train("run", epochs: 1, "--resume"))
      #expect(!FileManager.default.fileExists(atPath: scratch("run/lock")))
    }
  }
}
