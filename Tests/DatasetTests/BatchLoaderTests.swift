import Dataset
import Foundation
import Tensors
import Testing

@Suite struct BatchLoaderTests {
  private let transforms = Transforms(height: 16, width: 8)

  private func images(_ folder: String, _ count: Int) throws -> [Sample] {
    try pictures(folder, count, width: 12, height: 20)
  }

  @Test(arguments: [1, 3])
  func batchesComeInTheOrderSubmitted(threads: Int) throws {
    try withFolder { folder in
      let samples = try images(folder, 9)
      let loader = BatchLoader(threads: threads, seed: 7)
      // Large and small ones mixed, so that a later one can be ready first.
      let requests = [Array(samples), [samples[3]], [], [samples[8], samples[0]], samples.reversed()].map {
        BatchRequest(samples: $0, transforms: transforms)
      }
      for request in requests { loader.submit(request) }
      #expect(loader.pending == 5)
      for request in requests {
        let batch = try loader.next()
        #expect(batch.samples == request.samples && batch.rows == Array(request.samples.indices))
        #expect(batch.height == 16 && batch.width == 8 && batch.damaged.isEmpty)
        #expect(
          try batch.pixels == request.samples.flatMap { transforms.evaluation(try ImageCodec.decode(path: $0.path)) })
      }
      #expect(loader.pending == 0)
      loader.close()
    }
  }

  @Test func augmentationFollowsPositionsWhateverTheBatch() throws {
    try withFolder { folder in
      let samples = try images(folder, 4)
      let loader = BatchLoader(threads: 2, seed: 7)
      loader.submit(
        BatchRequest(samples: samples, positions: [10, 11, 12, 13], epoch: 3, transforms: transforms, augment: true))
      for index in 0..<4 {
        loader.submit(
          BatchRequest(
            samples: [samples[index]], positions: [10 + index], epoch: 3, transforms: transforms, augment: true))
      }
      let whole = try loader.next()
      var parts: [UInt8] = []
      for _ in 0..<4 { parts += try loader.next().pixels }
      #expect(whole.pixels == parts)
      let image = try ImageCodec.decode(path: samples[2].path)
      let row = 16 * 8 * 3
      #expect(
        Array(whole.pixels[(2 * row)..<(3 * row)]) == transforms.augmented(image, seed: 7, epoch: 3, position: 12))
    }
  }

  @Test func flippedBatchesAreMirrored() throws {
    try withFolder { folder in
      let samples = try images(folder, 3)
      let loader = BatchLoader(seed: 7)
      loader.submit(BatchRequest(samples: samples, transforms: transforms))
      loader.submit(BatchRequest(samples: samples, transforms: transforms, flipAll: true))
      var plain = try loader.next().pixels
      let flipped = try loader.next().pixels
      #expect(plain != flipped)
      Mirror.rows(&plain, width: 8)
      #expect(plain == flipped)
    }
  }

  @Test func damagedImagesAreLeftOutOrFail() throws {
    try withFolder { folder in
      var samples = try images(folder, 3)
      try put("no JPEG", folder + "/bad.jpg")
      samples.insert(Sample(path: folder + "/bad.jpg", identity: 50, camera: 1), at: 1)
      try put("", folder + "/empty.jpg")
      samples.append(Sample(path: folder + "/empty.jpg", identity: 51, camera: 1))
      let loader = BatchLoader(threads: 2, seed: 7)
      loader.submit(BatchRequest(samples: samples, transforms: transforms, onDamage: .skip))
      loader.submit(BatchRequest(samples: samples, transforms: transforms, onDamage: .fail))
      loader.submit(BatchRequest(samples: [samples[0]], transforms: transforms, onDamage: .fail))

      let batch = try loader.next()
      #expect(batch.samples == [samples[0], samples[2], samples[3]] && batch.rows == [0, 2, 3])
      #expect(batch.pixels.count == 3 * 16 * 8 * 3)
      #expect(batch.damaged.map(\.index) == [1, 4])
      #expect(batch.damaged.map(\.path) == [folder + "/bad.jpg", folder + "/empty.jpg"])
      #expect(
        batch.damaged.map(\.reason) == [
          "\(folder)/bad.jpg: neither a JPEG nor a PNG file: begins with 6e 6f 20 4a",
          "\(folder)/empty.jpg: Empty input file",
        ])
      let error = failure { _ = try loader.next() }
      #expect(error.kind == .data && error.message.hasPrefix(folder + "/bad.jpg: "))
      #expect(try loader.next().samples == [samples[0]])
    }
  }

  /// What says nothing about the image ends the batch, whatever becomes of damaged ones.
  @Test(.timeLimit(.minutes(1))) func imagesThatCannotBeReadAlwaysFail() throws {
    try withFolder { folder in
      let samples = try images(folder, 2)
      #expect(mkfifo(folder + "/pipe.jpg", 0o600) == 0)
      try FileManager.default.createSymbolicLink(atPath: folder + "/zero.jpg", withDestinationPath: "/dev/zero")
      let reasons = [
        "none.jpg": "No such file or directory", "pipe.jpg": "not a regular file", "zero.jpg": "not a regular file",
      ]
      let loader = BatchLoader(threads: 2, seed: 7)
      for (name, reason) in reasons {
        let bad = Sample(path: "\(folder)/\(name)", identity: 9, camera: 1)
        loader.submit(BatchRequest(samples: [samples[0], bad, samples[1]], transforms: transforms, onDamage: .skip))
        let error = failure { _ = try loader.next() }
        #expect(error.kind == .data && error.message == "\(folder)/\(name): \(reason)")
      }
      loader.submit(BatchRequest(samples: samples, transforms: transforms, onDamage: .skip))
      #expect(try loader.next().samples == samples)
    }
  }

  @Test func askingForNothingOrAfterClosingFails() throws {
    let loader = BatchLoader(seed: 7)
    let empty = failure { _ = try loader.next() }
    #expect(empty.kind == .internal && empty.message == "a batch was asked for, but none was submitted")
    loader.submit(BatchRequest(samples: [], transforms: transforms))
    #expect(try loader.next().pixels.isEmpty)
    #expect(loader.secondsWaited == 0)
    loader.close()
    loader.close()
    loader.submit(BatchRequest(samples: [], transforms: transforms))
    #expect(loader.pending == 0)
    let closed = failure { _ = try loader.next() }
    #expect(closed.kind == .internal && closed.message == "a batch was asked for after the loader was closed")
  }

  /// `deinit` waits for the threads, so this returns only where they end, and the loader goes only where they do not
  /// hold it.
  @Test func loadersGoWithWorkUndone() throws {
    try withFolder { folder in
      let samples = try images(folder, 4)
      for threads in 1...4 {
        weak var gone: BatchLoader?
        do {
          let loader = BatchLoader(threads: threads, seed: 7)
          gone = loader
          for _ in 0..<50 { loader.submit(BatchRequest(samples: samples, transforms: transforms)) }
          _ = try loader.next()
        }
        #expect(gone == nil)
      }
    }
  }
}
