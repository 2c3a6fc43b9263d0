import Foundation
import Tensors

/// Which images a batch is made of, and how.
package struct BatchRequest: Sendable {
  /// What to do about an image that is damaged: read, but not to be decoded. One that cannot be read (missing, no
  /// permission, an error of the disk or the network) always fails its batch: it says nothing about the image, and often
  /// the next thousand are no better.
  package enum DamagePolicy: Sendable {
    /// Leave it out and report it in `ImageBatch.damaged`.
    case skip
    /// `next()` throws a `Failure.data` that names it.
    case fail
  }

  package var samples: [Sample]
  /// The place of each sample in the epoch's sequence of all ranks; feeds the augmentation's randomness.
  package var positions: [Int]
  package var epoch: Int
  package var transforms: Transforms
  /// The images that patches and partners may come from, the same ones on all ranks: those of the whole batch, in order.
  package var donors: [Sample] = []
  /// The place of the first of them in the epoch's sequence.
  package var firstDonor = 0
  /// The training transform; otherwise the evaluation's.
  package var augment: Bool
  /// Every image mirrored after its transform: the second pass of flip-averaged features.
  package var flipAll: Bool
  package var onDamage: DamagePolicy

  /// `positions` defaults to 0, 1, …; it must be as long as `samples`.
  package init(
    samples: [Sample], positions: [Int]? = nil, epoch: Int = 0, transforms: Transforms, augment: Bool = false,
    flipAll: Bool = false, onDamage: DamagePolicy = .fail
  ) {
    precondition(positions == nil || positions!.count == samples.count)
    self.samples = samples
    self.positions = positions ?? Array(samples.indices)
    self.epoch = epoch
    self.transforms = transforms
    self.augment = augment
    self.flipAll = flipAll
    self.onDamage = onDamage
  }
}

/// Decoded images, ready to be normalized.
package struct ImageBatch: Sendable, Equatable {
  /// An image that was left out.
  package struct Damage: Sendable, Equatable {
    /// Its index in the request.
    package let index: Int
    package let path: String
    /// `<path>: <why>`, one line.
    package let reason: String

    package init(index: Int, path: String, reason: String) {
      (self.index, self.path, self.reason) = (index, path, reason)
    }
  }

  /// [samples.count][height][width][3], RGB.
  package let pixels: [UInt8]
  package let height: Int, width: Int
  /// One for each row of `pixels`: those of the request without the damaged ones.
  package let samples: [Sample]
  /// The index of each row in the request.
  package let rows: [Int]
  package let damaged: [Damage]
  /// What each row is mixed with, and with which share; nil where it is one image.
  package let mixes: [Mixed?]
  /// What of the person each row shows.
  package let parts: [BodyPart]

  /// The other image of two.
  package struct Mixed: Sendable, Equatable {
    package let sample: Sample
    package let part: BodyPart
    package let share: Double
  }

  package init(
    pixels: [UInt8], height: Int, width: Int, samples: [Sample], rows: [Int], damaged: [Damage],
    mixes: [Mixed?]? = nil, parts: [BodyPart]? = nil
  ) {
    self.mixes = mixes ?? samples.map { _ in nil }
    self.parts = parts ?? samples.map { _ in .whole }
    self.pixels = pixels
    (self.height, self.width) = (height, width)
    (self.samples, self.rows, self.damaged) = (samples, rows, damaged)
  }
}

/// Decodes batches on threads of its own while the network computes.
///
/// Batches come out in the order submitted. What is in memory is what was submitted and not taken, so the caller
/// bounds it by submitting one or two batches ahead. All images of a batch are shared out among the threads.
/// One thread submits and takes. Closing (also by `deinit`) ends the threads and waits for them.
package final class BatchLoader: Sendable {
  private let queue: LoaderQueue

  /// `threads` decode; `seed` is the run's, for the augmentation. Decoding is recorded on the timeline, if there is one.
  package init(threads: Int = 1, seed: UInt64, timeline: Timeline? = nil) {
    precondition(threads > 0)
    queue = LoaderQueue(seed: seed, timeline)
    queue.start(threads: threads)
  }

  deinit { queue.close() }

  /// Puts a batch in line; returns at once. Nothing happens after `close()`.
  package func submit(_ request: BatchRequest) { queue.submit(request) }

  /// The oldest batch not taken yet; waits only where it is not ready.
  ///
  /// Throws `Failure.data` naming the file where an image cannot be read, or is damaged and the request says `.fail` (the
  /// batch is then gone, the ones after it are still there), and `Failure.internal` where nothing was submitted.
  package func next() throws -> ImageBatch { try queue.next() }

  /// The time that `next()` has waited, all calls together: near zero while decoding keeps up.
  package var secondsWaited: Double { queue.secondsWaited }

  /// How many batches were submitted and not taken.
  package var pending: Int { queue.pending }

  /// Drops what was submitted, ends the threads and returns when they have ended. `next()` throws afterwards.
  package func close() { queue.close() }
}

/// The state that a `BatchLoader` shares with its threads, which must not keep the loader itself alive.
///
/// Unchecked, because the compiler cannot see that `condition` guards every `var` here: each is read and written
/// only while it is locked. Images are decoded with it unlocked, from constants of the request.
private final class LoaderQueue: @unchecked Sendable {
  private struct Work {
    let request: BatchRequest
    /// The next image to hand to a thread, and how many are not finished.
    var nextIndex = 0, unfinished: Int
    var images: [Decoded?]
  }

  private enum Decoded {
    case pixels([UInt8], ImageBatch.Mixed?), damaged(Failure), unreadable(Failure)
  }

  private let seed: UInt64
  private let timeline: Timeline?
  private let condition = NSCondition()
  /// The oldest is first. `taken` batches have left, so a job is known by its number for as long as it lives.
  private var jobs: [Work] = [], taken = 0
  private var closed = false
  private var running = 0
  private var waited = Duration.zero

  init(seed: UInt64, _ timeline: Timeline?) { (self.seed, self.timeline) = (seed, timeline) }

  var secondsWaited: Double { condition.withLock { waited / .seconds(1) } }
  var pending: Int { condition.withLock { jobs.count } }

  func start(threads: Int) {
    condition.withLock { running = threads }
    for index in 0..<threads {
      Threads.start("lineup-load-\(index)") { self.work(index) }
    }
  }

  func submit(_ request: BatchRequest) {
    condition.withLock {
      if closed { return }
      let count = request.samples.count
      jobs.append(Work(request: request, unfinished: count, images: Array(repeating: nil, count: count)))
      condition.broadcast()
    }
  }

  func next() throws -> ImageBatch {
    let job = try condition.withLock {
      if !closed && jobs.isEmpty { throw Failure.internal("a batch was asked for, but none was submitted") }
      if !closed && jobs[0].unfinished > 0 {
        let start = ContinuousClock.now
        while !closed && jobs[0].unfinished > 0 { condition.wait() }
        waited += ContinuousClock.now - start
      }
      if closed { throw Failure.internal("a batch was asked for after the loader was closed") }
      taken += 1
      return jobs.removeFirst()
    }
    return try assemble(job)
  }

  func close() {
    condition.withLock {
      closed = true
      jobs.removeAll()
      condition.broadcast()
      while running > 0 { condition.wait() }
    }
  }

  /// A thread's life: take the oldest image that nobody has, decode it, put it down.
  private func work(_ thread: Int) {
    while let (number, index, request) = take() {
      let start = Timeline.now
      let image = decode(index, of: request)
      timeline?.record(.init(.decoding, "image", .loader(thread), start: start, end: Timeline.now))
      put(image, number, index)
    }
    condition.withLock {
      running -= 1
      condition.broadcast()
    }
  }

  /// Waits for work; nil when the loader is closed.
  private func take() -> (number: Int, index: Int, request: BatchRequest)? {
    condition.withLock {
      while !closed {
        if let place = jobs.firstIndex(where: { $0.nextIndex < $0.request.samples.count }) {
          jobs[place].nextIndex += 1
          return (taken + place, jobs[place].nextIndex - 1, jobs[place].request)
        }
        condition.wait()
      }
      return nil
    }
  }

  private func put(_ image: Decoded, _ number: Int, _ index: Int) {
    condition.withLock {
      if closed { return }
      let place = number - taken
      jobs[place].images[index] = image
      jobs[place].unfinished -= 1
      if jobs[place].unfinished == 0 { condition.broadcast() }
    }
  }

  private func decode(_ index: Int, of request: BatchRequest) -> Decoded {
    let transforms = request.transforms, position = request.positions[index], image: RGBImage
    switch read(request.samples[index], transforms) {
    case .success(let whole): image = whole
    case .failure(let problem): return problem.decoded
    }
    var pixels: [UInt8], mixed: ImageBatch.Mixed?
    if request.augment {
      do throws(Problem) {
        pixels = try augmented(image, at: position, of: request)
        let count = request.donors.count
        if let mix = transforms.mix(among: count, seed: seed, epoch: request.epoch, position: position),
          let other = try donor(mix.source, of: request)
        {
          let others = try augmented(other, at: request.firstDonor + mix.source, of: request)
          pixels = mix.mixed(pixels, with: others)
          mixed = .init(
            sample: request.donors[mix.source], part: part(at: request.firstDonor + mix.source, of: request),
            share: mix.share)
        }
      } catch {
        return error.decoded
      }
    } else {
      pixels = transforms.evaluation(image)
    }
    if request.flipAll { Mirror.rows(&pixels, width: transforms.width) }
    return .pixels(pixels, mixed)
  }

  private func part(at position: Int, of request: BatchRequest) -> BodyPart {
    request.augment ? request.transforms.part(seed: seed, epoch: request.epoch, position: position) : .whole
  }

  private func augmented(_ image: RGBImage, at position: Int, of request: BatchRequest) throws(Problem) -> [UInt8] {
    let transforms = request.transforms, count = request.donors.count
    var patch: (Patch, RGBImage)?
    if let place = transforms.patch(among: count, seed: seed, epoch: request.epoch, position: position) {
      patch = try donor(place.source, of: request).map { (place, $0) }
    }
    return transforms.augmented(image, seed: seed, epoch: request.epoch, position: position, patch: patch)
  }

  /// Nil where it is damaged: it is counted as an image of the batch, and gives nothing to others.
  private func donor(_ index: Int, of request: BatchRequest) throws(Problem) -> RGBImage? {
    switch read(request.donors[index], request.transforms) {
    case .success(let donor): return donor
    case .failure(.damaged): return nil
    case .failure(let problem): throw problem
    }
  }

  private enum Problem: Error {
    case damaged(Failure), unreadable(Failure)

    var decoded: Decoded {
      switch self {
      case .damaged(let failure): .damaged(failure)
      case .unreadable(let failure): .unreadable(failure)
      }
    }
  }

  private func read(_ sample: Sample, _ transforms: Transforms) -> Result<RGBImage, Problem> {
    let path = sample.path
    let bytes: [UInt8]
    do {
      bytes = try ImageCodec.read(path)
    } catch {
      return .failure(.unreadable(error))
    }
    do {
      return .success(try transforms.source(try ImageCodec.decode(bytes: bytes, path: path), sample))
    } catch {
      return .failure(.damaged(error as? Failure ?? .internal("\(path): \(error)")))
    }
  }

  private func assemble(_ job: Work) throws -> ImageBatch {
    let request = job.request, transforms = request.transforms
    var pixels: [UInt8] = [], rows: [Int] = [], damaged: [ImageBatch.Damage] = [], mixes: [ImageBatch.Mixed?] = []
    pixels.reserveCapacity(request.samples.count * transforms.height * transforms.width * 3)
    for (index, image) in job.images.enumerated() {
      switch image! {
      case .pixels(let row, let mixed):
        pixels += row
        rows.append(index)
        mixes.append(mixed)
      case .unreadable(let failure):
        throw failure
      case .damaged(let failure):
        if request.onDamage == .fail || failure.kind == .internal { throw failure }
        damaged.append(.init(index: index, path: request.samples[index].path, reason: failure.message))
      }
    }
    return ImageBatch(
      pixels: pixels, height: transforms.height, width: transforms.width, samples: rows.map { request.samples[$0] },
      rows: rows, damaged: damaged, mixes: mixes,
      parts: rows.map { part(at: request.positions[$0], of: request) })
  }
}
