import Foundation
import Tensors
import TestSupport
import Testing
import Training

/// What a search varies, and which trial comes next.
@Suite struct ProgressiveSearchTests {
  private func space(_ text: String) throws -> SearchSpace {
    let folder = try TemporaryFolder()
    return try SearchSpace.read(folder.file("space.yaml", text))
  }

  private static let text = """
    {stages: 2, trials: 6, initial: 3, steps: 50, keys: {
      optimizer.learningRate: {from: 1.0e-5, to: 1.0e-2, scale: log},
      losses.triplet.margin: {from: 0.1, to: 0.7}, sampling.images: {from: 2, to: 5}}}
    """

  @Test func rangesAreSidesOfTheCube() throws {
    let space = try space(Self.text), dimensions = space.dimensions
    #expect(dimensions.map(\.key) == ["losses.triplet.margin", "optimizer.learningRate", "sampling.images"])
    #expect(space.heldOut == 0.2 && space.steps == 50)
    let (margin, rate, images) = (dimensions[0], dimensions[1], dimensions[2])
    #expect(margin.value(0.5) == 0.4 && margin.setting(0.4) == "losses.triplet.margin=0.4")
    #expect(rate.value(0) == 1e-5 && rate.value(1) == 1e-2 && abs(rate.value(2.0 / 3) - 1e-3) < 1e-12)
    #expect(abs(rate.unit(1e-4) - 1.0 / 3) < 1e-12)
    // Each of four whole numbers has a quarter of the side.
    #expect([0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 1].map(images.value) == [2, 2, 3, 3, 4, 4, 5, 5])
    #expect(images.unit(2) == 0.125 && images.setting(4) == "sampling.images=4")
    for setting in [rate.setting(rate.value(0.123)), images.setting(3)] {
      #expect(throws: Never.self) { try Configuration.resolve(settings: [setting]) }
    }
  }

  @Test func stagesGoOnFromTheBestBefore() throws {
    let search = ProgressiveSearch(try space(Self.text), seed: 3)
    var trials: [SearchTrial] = [], plans: [ProgressiveSearch.Plan] = []
    while let plan = try search.next(after: trials) {
      plans.append(plan)
      let mAP: Double? = plan.number == 2 ? nil : plan.values["losses.triplet.margin"]
      trials.append(.init(stage: plan.stage, number: plan.number, values: plan.values, mAP: mAP))
    }
    #expect(plans.map(\.number) == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6])
    #expect(plans.map(\.steps) == Array(repeating: 50, count: 6) + Array(repeating: 100, count: 6))
    #expect(plans[..<6].allSatisfy { $0.parent == nil })
    let best = try search.best(of: 1, trials)
    #expect(best.mAP == trials[..<6].compactMap(\.mAP).max() && plans[6...].allSatisfy { $0.parent == best.folder })
    // Trials of a stage of its own, and whole numbers as such.
    #expect(plans[0].values != plans[6].values)
    #expect(plans.allSatisfy { (2...5).contains($0.values["sampling.images"]!) })
    #expect(plans.allSatisfy { $0.values["sampling.images"] == $0.values["sampling.images"]!.rounded() })
    // An interrupted search goes on as it would have.
    for count in 0..<trials.count { #expect(try search.next(after: Array(trials[..<count])) == plans[count]) }
  }

  @Test func theBatchStaysAsLarge() throws {
    let search = ProgressiveSearch(try space(Self.text), seed: 1), base = Configuration()
    func settings(_ images: Double) -> [String] {
      search.settings(["sampling.images": images, "losses.triplet.margin": 0.25], steps: 80, base)
    }
    let fixed = ["schedule.epochs=80", "schedule.maxSteps=80"]
    #expect(settings(4) == ["losses.triplet.margin=0.25", "sampling.images=4", "sampling.identities=8"] + fixed)
    #expect(settings(5)[2] == "sampling.identities=6" && settings(2)[2] == "sampling.identities=16")
    #expect(search.ends(base)[1].contains("optimizer.learningRate=0.01"))
    #expect(search.ends(base)[1].last == "schedule.maxSteps=100")
  }

  @Test func aDamagedHistoryIsNamed() throws {
    let search = ProgressiveSearch(try space(Self.text), seed: 1)
    func trial(_ stage: Int, _ number: Int, _ mAP: Double? = nil) -> SearchTrial {
      .init(stage: stage, number: number, values: [:], mAP: mAP)
    }
    #expect(
      message(.data) { _ = try search.next(after: [trial(1, 2)]) }?.contains("line 1 is trial 2 of stage 1") == true)
    #expect(
      message(.diverged) { _ = try search.next(after: (1...6).map { trial(1, $0) }) }?.contains("all trials of stage 1")
        == true)
    let folder = try TemporaryFolder(), dimensions = search.dimensions
    let good =
      #"{"stage": 1, "trial": 1, "losses.triplet.margin": 0.2, "optimizer.learningRate": 1e-3, "#
      + #""sampling.images": 2, "mAP": null, "seconds": 1}"#
    let path = try folder.file("trials.jsonl", good + "\n{\"torn\": ")
    #expect(try TrialsFile(path, dimensions).trials.map(\.mAP) == [nil])
    let file = try TrialsFile(path, dimensions)
    let values = ["losses.triplet.margin": 0.3, "optimizer.learningRate": 3.5e-05, "sampling.images": 3]
    try file.append(.init(stage: 1, number: 2, values: values, mAP: 0.25), seconds: 2)
    #expect(try TrialsFile(path, dimensions).trials == file.trials && file.trials[1].values == values)
    for (line, words) in [
      ("[]", "line 1 is no trial"), (#"{"stage": 1.5, "trial": 1, "mAP": 0}"#, "line 1 is no trial"),
      (#"{"stage": 1, "trial": 1, "mAP": 0.5, "seconds": 1}"#, "line 1 is of other keys than losses.triplet.margin"),
    ] {
      let path = try folder.file("other.jsonl", line + "\n")
      #expect(message(.data) { _ = try TrialsFile(path, dimensions) }?.contains(words) == true, "\(line)")
    }
  }

  /// One line that names file and key.
  @Test func aWrongSpaceIsNamed() throws {
    let rate = "optimizer.learningRate"
    for (text, words) in [
      ("stagez: 2", "stagez: expected an option among stages, trials, initial, steps, heldOut, keys"),
      ("stages: 0", "stages: expected integer from 1 to 100"), ("trials: many", "trials: expected integer"),
      ("heldOut: .nan", "heldOut: expected number from 0.01 to 0.9"), ("stages: 1:30", "1:30"),
      ("[1, 2]", "expected {option: value}"), ("keys: {}", "keys: nothing to vary"), ("", "expected"),
      ("stages: 3", "keys: nothing to vary; expected 1 to 16 keys"), ("stages: {", "line"),
      ("keys: {\(rate): 1}", "keys.\(rate): expected {option: value} with options among from, to, scale"),
      ("keys: {\(rate): {from: 1, too: 2}}", "keys.\(rate).too: expected an option among from, to, scale"),
      ("keys: {\(rate): {from: 1, to: 1}}", "keys.\(rate): from is 1.0; it must be below to, 1.0"),
      ("keys: {\(rate): {from: 0, to: 1, scale: log}}", "from is 0.0; it must be above 0 on a log scale"),
      ("keys: {\(rate): {from: 1, to: 2, scale: cubic}}", "keys.\(rate).scale: expected one of linear, log"),
      ("keys: {optimizer.learningRat: {from: 1, to: 2}}", "did you mean optimizer.learningRate?"),
      ("keys: {sampling.images: {from: 2, to: 4.5}}", "keys.sampling.images: from and to must be whole numbers"),
      ("keys: {model.width: {from: 0.1, to: 1}}", "keys.model.width: a search goes on from checkpoints"),
      ("keys: {input.height: {from: 64, to: 128}}", "keys.input.height: a search goes on from checkpoints"),
      ("keys: {\(rate): {from: 1}}", "keys.\(rate): from and to are both needed"),
      ("keys: {\(rate): {to: 1}}", "keys.\(rate): from and to are both needed"),
      ("keys: {evaluation.flip: {from: 0, to: 1}}", "keys.evaluation.flip: is true or false"),
      ("keys: {schedule.maxSteps: {from: 1, to: 9}}", "is the search's own"),
    ] {
      let message = message(.usage) { _ = try space(text) } ?? "nothing"
      #expect(
        message.contains("space.yaml: ") && message.contains(words) && !message.contains("\n"), "\(text): \(message)")
    }
    #expect(
      message(.usage) { _ = try SearchSpace.read("/nowhere/space.yaml") }?.contains("/nowhere/space.yaml") == true)
  }
}
