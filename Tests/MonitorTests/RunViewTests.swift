import Foundation
import Monitor
import Storage
import Tensors
import TestSupport
import Testing
import Training

/// A run's folder as a job leaves it, and what is shown of it.
@Suite struct RunViewTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    _ = try folder.file("config.yaml", "schedule: {epochs: 4}\n")
  }

  private func line(_ step: Int, _ more: String = "") -> String {
    let epoch = (step + 9) / 10
    return
      "{\"step\": \(step), \"epoch\": \(epoch), \"loss\": \(8.0 / Double(step)), \"crossEntropy\": 1.5, \"triplet\": 0.25, "
      + "\"learningRate\": 0.00035, \"skipped\": 0, \"images\": 8, \"seconds\": 0.5, \"convolutionShare\": 0.6, "
      + "\"loadingShare\": 0.1\(more)}\n"
  }

  private func append(_ text: String, _ name: String = "metrics.jsonl") throws {
    let path = try folder.file(name)
    let old = InputFile.size(path) == nil ? "" : try InputFile.text(path)
    _ = try folder.file(name, old + text)
  }

  /// A lock as this process would hold it.
  private func lock(_ holder: RunLock.Holder) throws {
    _ = try folder.file("lock", String(decoding: try JSONEncoder().encode(holder), as: UTF8.self))
  }

  private func look(_ view: inout RunView) throws -> [String] {
    try view.look()
    return RunFrame(view, width: 100, height: 40).lines(inks: false)
  }

  @Test func aRunFromItsBeginningToItsEnd() throws {
    var view = RunView(folder.path), lines = RunLines()
    try lock(.init(host: Host.name, process: getpid()))
    try view.look()
    #expect(view.state == RunView.State.running(RunLock.Holder(host: Host.name, process: getpid())))
    #expect(view.figures.last == nil && view.totalSteps == nil && view.shares.isEmpty)
    #expect(lines.next(view) == ["\(folder.path): running on \(Host.name), process \(getpid())"])

    // Before the second epoch it is the log that knows how many steps one has.
    try append((1...9).map { line($0) }.joined() + "{\"step\": 10, \"ep")
    try append("2026-01-02 03:04:05 info epoch 1/4  step 9/10  loss 0.889 (…)\n", "log.txt")
    try view.look()
    #expect(view.figures.step == 9 && view.totalSteps == 40 && view.remaining == 15.5)
    #expect(view.figures.imagesPerSecond == 16 && view.figures.terms.map(\.name) == ["crossEntropy", "triplet"])
    #expect(
      lines.next(view) == [
        "step 9/40  epoch 1/4  eta 0:00:16  loss 0.889 (crossEntropy 1.500 triplet 0.250)  lr 3.5e-04  16.0 images/s"
      ])
    #expect(lines.next(view).isEmpty)

    // The half line becomes a whole one.
    _ = try folder.file("metrics.jsonl", (1...40).map { line($0) }.joined())
    try append("{\"step\": 20, \"mAP\": 0.25, \"rank1\": 0.5, \"B.mAP\": 0.125}\n{\"step\": 40, \"mAP\": 0.5}\n")
    try FileManager.default.removeItem(atPath: folder.file("lock"))
    try view.look()
    #expect(view.state == .finished && view.figures.step == 40 && view.figures.stepsPerEpoch == 10)
    #expect(view.figures.best?.step == 40 && view.problem == nil)
    #expect(
      lines.next(view).dropFirst() == [
        "evaluation after 20 steps  mAP 25.0%  rank-1 50.0%  B mAP 12.5%", "evaluation after 40 steps  mAP 50.0%",
        "step 40/40  epoch 4/4  loss 0.200 (crossEntropy 1.500 triplet 0.250)  lr 3.5e-04  16.0 images/s",
      ])
    let frame = try look(&view)
    #expect(frame.count <= 40 && frame.allSatisfy { $0.count <= 100 })
    #expect(frame[0].hasSuffix("  finished") && frame[1].hasSuffix(" 100%"))
    #expect(frame.contains { $0.hasPrefix("loss ") && $0.contains("mAP  best 50.0% after 40 steps") })
    #expect(frame.contains { $0.hasPrefix("rank 0  ████") && $0.hasSuffix("··") })
    #expect(frame.contains("after 20 steps  mAP 25.0%  rank-1 50.0%  B mAP 12.5%"))
    #expect(frame.contains { $0.unicodeScalars.contains { (0x2801...0x28ff).contains($0.value) } })
  }

  /// A run that goes on from a checkpoint drops lines; one that is begun anew is another file.
  @Test func whatIsMadeAgainIsReadAgain() throws {
    var view = RunView(folder.path)
    try append((1...30).map { line($0) }.joined())
    try view.look()
    #expect(view.figures.step == 30 && view.figures.loss.steps == 1...30 && view.state == .stopped)
    try AtomicFiles.write((1...15).map { line($0) }.joined(), to: "\(folder.path)/metrics.jsonl")
    try view.look()
    #expect(view.figures.step == 15 && view.figures.loss.steps == 1...15)
  }

  @Test func aJobThatIsGoneIsNotRunning() throws {
    var view = RunView(folder.path)
    let gone = Process()
    gone.executableURL = URL(fileURLWithPath: "/bin/true")
    try gone.run()
    gone.waitUntilExit()
    try lock(.init(host: Host.name, process: gone.processIdentifier))
    try view.look()
    guard case .silent(let holder, _) = view.state else { return #expect(Bool(false), "\(view.state)") }
    #expect(holder?.process == gone.processIdentifier)
    // Of another host's the lock's time tells.
    try lock(.init(host: "elsewhere", process: 1))
    try view.look()
    let elsewhere = RunView.State.running(RunLock.Holder(host: "elsewhere", process: 1))
    #expect(view.state == elsewhere)
    try view.look(now: Date().timeIntervalSince1970 + 100)
    guard case .silent(_, let seconds) = view.state else { return #expect(Bool(false), "\(view.state)") }
    #expect(seconds >= 99)
    var lines = RunLines()
    #expect(lines.next(view).first?.contains(": no sign of its job on elsewhere, process 1 for ") == true)
  }

  @Test func aRunThatGoesAndComes() throws {
    var view = RunView(folder.path)
    try append(line(1))
    try view.look()
    #expect(view.figures.step == 1)
    try FileManager.default.removeItem(atPath: folder.path)
    #expect(try look(&view).count == 1 && view.state == .absent && view.figures.last == nil)
    try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
    _ = try folder.file("config.yaml", "schedule: {epochs: 4}\n")
    try append(line(1) + line(2))
    try view.look()
    #expect(view.figures.step == 2)
  }

  @Test func sharesOfManyRanks() throws {
    var view = RunView(folder.path)
    try append(line(16))
    try append(
      (0..<50).map {
        "{\"step\": 16, \"rank\": \($0), \"host\": \"n\\u001b\($0)\", \"convolutionShare\": 0.\($0 + 10)}\n"
      }
      .joined(), "ranks.jsonl")
    try view.look()
    #expect(view.shares.count == 50 && view.shares[49].rank == 49)
    #expect(
      RunLines.shares(view)[49]
        == "rank 49 on n\\u{1b}49  convolutions 59.0%  collectives 0.0%  gradients 0.0%  images 0.0%  other 41.0%")
    let frame = RunFrame(view, width: 80, height: 40).lines(inks: false)
    // The one that computes most is first.
    #expect(frame.contains { $0.hasPrefix("rank 49 ") } && frame.contains("and 42 more ranks, which compute less"))
  }

  @Test(arguments: [(20, 1), (20, 5), (33, 12), (79, 24), (80, 24), (200, 60), (1, 1)])
  func aFrameFitsItsTerminal(_ width: Int, _ height: Int) throws {
    var view = RunView(folder.path)
    try append(
      (1...35).map { line($0) }.joined() + "{\"step\": 20, \"mAP\": 0.25}\n{\"step\": 30, \"mAP\": 0.5}\nnonsense\n")
    try append(
      (1...50).map { "2026-01-02 03:04:05 info line \($0)\u{1B}[2J \(String(repeating: "x", count: 300))\n" }.joined(),
      "log.txt")
    try view.look()
    #expect(view.problem == "has n where { was expected")
    let frame = RunFrame(view, width: width, height: height).lines(inks: false)
    #expect(!frame.isEmpty && frame.count <= height && frame.allSatisfy { $0.count <= max(20, width) })
    #expect(frame.allSatisfy { Printable.line($0) == $0 })
    // In colours it is the same text.
    let coloured = RunFrame(view, width: width, height: height).lines(inks: true)
    #expect(coloured.map { $0.replacing(#/\u{1B}\[[0-9]*m/#, with: "") } == frame && coloured[0] != frame[0])
  }

  @Test func aFileThatCannotBeReadIsNamed() throws {
    var view = RunView(folder.path)
    try FileManager.default.createDirectory(atPath: folder.file("metrics.jsonl"), withIntermediateDirectories: false)
    try view.look()
    #expect(view.figures.last == nil)
    try FileManager.default.removeItem(atPath: folder.file("metrics.jsonl"))
    _ = try folder.file("metrics.jsonl", String(repeating: "x", count: Lines.longest + 300_000))
    #expect(message(.data) { try view.look() }?.contains("metrics.jsonl: has a line of more than") == true)
  }
}
