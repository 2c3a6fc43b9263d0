import CTensorBoard
import Dataset
import Evaluation
import Foundation
import Storage
import Testing

extension UntimedCommandTests {
  /// `log.tensorBoard`: event files beside `metrics.jsonl`.
  @Suite(.serialized) struct TensorBoardTests {
    private let scratch: Scratch, data: String

    init() throws {
      scratch = try Scratch()
      data = try scratch.dataset()
    }

    private func train(_ run: String, _ more: [String] = [], _ settings: String...) -> [String] {
      ["train", "--data", data, "--output", scratch(run)] + Tiny.training + more
        + settings.flatMap { ["--set", $0] }
    }

    @Test func eventsTellWhatMetricsTell() throws {
      let outcome = try Command.succeed(
        train(
          "run", [], "schedule.maxSteps=9", "evaluation.everyEpochs=1", "log.tensorBoard=true", "msgr.lambda=0.01"))
      #expect(!outcome.output.contains("warning"))
      try expectSame("run", steps: 1...9)
      let events = try Events(scratch("run"))
      // The batch of a step: rank 0's images as they enter the network, with a border.
      let batch = try #require(events.images["train/batch"]?[1])
      let picture = try ImageCodec.decode(bytes: batch, path: "batch")
      #expect(picture.width == 8 * 34 && picture.height == 66)
      // One query a row and ten that come first for it.
      let ranked = try #require(events.images["test/data/ranked"])
      #expect(ranked.keys.sorted() == [8, 9])
      let list = try ImageCodec.decode(bytes: try #require(ranked[9]), path: "ranked")
      let dataset = try ReIDDataset.open(at: data), people = Set(dataset.query.map(\.identity))
      #expect(list.width == 11 * (48 + 8) && list.height == 5 * (96 + 8))

      let folder = scratch("run/tensorboard")
      let labels = try InputFile.text("\(folder)/projector/labels.tsv").split(separator: "\n")
      // Whom nobody searches for is left out.
      #expect(labels.count == 1 + dataset.query.count + dataset.gallery.count { people.contains($0.identity) })
      #expect(try InputFile.read("\(folder)/projector/features.bytes").count == (labels.count - 1) * 32 * 4)
      #expect(try InputFile.text("\(folder)/projector_config.pbtxt").contains("tensor_name: \"data, step 9\""))
      let side = Int(Double(labels.count - 1).squareRoot().rounded(.up))
      let sprite = try ImageCodec.decode(path: "\(folder)/projector/sprite.png")
      #expect(sprite.width == side * 48 && sprite.height == side * 48)

      // They change nothing of the run.
      try Command.succeed(train("quiet", [], "schedule.maxSteps=9", "evaluation.everyEpochs=1", "msgr.lambda=0.01"))
      let run = RunFiles(path: scratch("run")), quiet = RunFiles(path: scratch("quiet"))
      for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let path = "checkpoints/\(RunFiles.name(9))/\(file)"
        #expect(run.bytes(path) != nil && run.bytes(path) == quiet.bytes(path))
      }
      #expect(quiet.bytes("tensorboard") == nil && InputFile.isFolder(folder))
    }

    /// Steps that are made again take the place of the ones before, in one file, also where that ends in half a record.
    @Test func aResumedRunIsOneCurve() throws {
      try Command.succeed(
        train("run", [], "schedule.maxSteps=8", "checkpoint.everySteps=5", "log.tensorBoard=true"))
      let file = try #require(try Events.files(scratch("run")).first), size = try #require(InputFile.size(file))
      #expect(truncate(file, off_t(size - 3)) == 0)
      try Command.succeed(
        [
          "train", "--data", data, "--output", scratch("run"), "--resume-from",
          scratch("run/checkpoints/step-00000005"),
        ])
      #expect(try Events.files(scratch("run")) == [file])
      try expectSame("run", steps: 1...8)
      #expect(try Events(scratch("run")).images["train/batch"]?.keys.sorted() == [1, 6])
    }

    /// A disk that takes no more ends no run, as long as it takes the rest.
    @Test func eventsThatCannotBeWrittenAreSaidOnce() throws {
      let all = train("run", [], "schedule.maxSteps=48", "evaluation.everyEpochs=1", "log.tensorBoard=true")
      let outcome = try Command.run(all, prefix: ["bash", "-c", "ulimit -f 1000; exec \"$@\"", "bash"])
      #expect(outcome.code == 0, "\(outcome.errors)")
      // The pictures of some evaluations outgrow the limit of a file's size.
      let said = outcome.output.split(separator: "\n").filter { $0.contains("no more events are written") }
      #expect(said.count == 1 && said[0].contains("File too large"), "\(outcome.output)")
      let run = RunFiles(path: scratch("run"))
      #expect(try run.latest == RunFiles.name(48) && run.metrics().trainingSteps == Array(1...48))
    }

    @Test func aFileInTheirPlaceIsRefused() throws {
      try Command.succeed(train("run", [], "schedule.maxSteps=2", "checkpoint.everySteps=1"))
      try Data().write(to: URL(fileURLWithPath: scratch("run/tensorboard")))
      let outcome = try Command.run(train("run", ["--resume"], "schedule.maxSteps=3", "log.tensorBoard=true"))
      #expect(
        outcome.code == 64 && outcome.complaints.first?.hasSuffix("tensorboard: is a file, expected a folder") == true)
    }

    /// The scalars are those of `metrics.jsonl`, by their tags, for these steps.
    private func expectSame(_ name: String, steps: ClosedRange<Int>) throws {
      let events = try Events(scratch(name)), lines = try RunFiles(path: scratch(name)).metrics()
      var expected: [String: [Int: Float]] = [:]
      for line in lines {
        for (key, value) in line where key != "step" {
          let tag: String
          if line["loss"] == nil {
            if ["epoch", "seconds"].contains(key) { continue }
            tag = "test/data/\(key)"
          } else if key == "learningRate" {
            tag = "train/lr"
          } else if key.hasPrefix("seconds") || key == "imagesPerSecond" || key.hasSuffix("Share") {
            tag = "time/\(key)"
          } else {
            tag = "train/\(key)"
          }
          expected[tag, default: [:]][Int(line["step"]!)] = Float(value)
        }
      }
      #expect(expected["train/loss"]?.keys.sorted() == Array(steps))
      #expect(events.scalars == expected)
    }
  }
}

/// What a reader makes of a run's event files: a start takes the place of what was told of its step and later ones.
private struct Events {
  private(set) var scalars: [String: [Int: Float]] = [:], images: [String: [Int: [UInt8]]] = [:]

  static func files(_ run: String) throws -> [String] {
    try Folder.names(in: "\(run)/tensorboard").filter { $0.hasPrefix("events.out.tfevents.") }.sorted().map {
      "\(run)/tensorboard/\($0)"
    }
  }

  init(_ run: String) throws {
    for file in try Self.files(run) {
      let bytes = try InputFile.read(file)
      var place = 0
      while place < bytes.count {
        let length = bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | Int($1) }
        try add(Array(bytes[place + 12..<place + 12 + length]))
        place += 12 + length + 4
      }
    }
  }

  private mutating func add(_ message: [UInt8]) throws {
    let event = try #require(tensorboard__event__unpack(nil, message.count, message))
    defer { tensorboard__event__free_unpacked(event, nil) }
    let step = Int(event.pointee.step)
    switch event.pointee.what_case {
    case TENSORBOARD__EVENT__WHAT_FILE_VERSION: #expect(String(cString: event.pointee.file_version) == "brain.Event:2")
    case TENSORBOARD__EVENT__WHAT_SESSION_LOG:
      scalars = scalars.mapValues { $0.filter { $0.key < step } }
      images = images.mapValues { $0.filter { $0.key < step } }
    case TENSORBOARD__EVENT__WHAT_SUMMARY:
      let summary = event.pointee.summary!.pointee
      for index in 0..<summary.n_value {
        let value = summary.value[index]!.pointee, tag = String(cString: value.tag)
        if value.value_case == TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE {
          #expect(scalars[tag]?[step] == nil, "\(tag) of step \(step) twice")
          scalars[tag, default: [:]][step] = value.simple_value
        } else {
          let data = value.image.pointee.encoded_image_string
          images[tag, default: [:]][step] = Array(UnsafeBufferPointer(start: data.data, count: data.len))
        }
      }
    default: Issue.record("an event of an unknown kind")
    }
  }
}
