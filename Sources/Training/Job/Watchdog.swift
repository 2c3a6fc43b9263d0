import Collectives
import Foundation
import Storage
import Synchronization
import Tensors

/// Ends a job in which a rank is missing, instead of waiting for it for ever.
///
/// A thread on every rank writes rank 0 a letter every few moments: where the rank stands, what it waits for, how long it
/// has not got on. Rank 0 answers with the few that look worst (`Roll`). A rank that has waited in a collective for
/// `limit` seconds looks into that: one that no letter has come from, or that stands still outside a collective, is
/// missing; one that computes is only slow, and waited for. Every rank that can still speak names the missing one in a
/// line of its own and ends with 69, one that is cut off from the others too.
///
/// Letters go beside the collectives (`Mailbox`), so they show a stopped process, a dead host and a cut network alike,
/// and a thread that is stuck (on storage that does not answer) as well as one that is gone.
package final class Watchdog: Sendable {
  private let communicator: TimedCommunicator
  private let mailbox: any Mailbox
  private let hosts: [String]
  /// Nanoseconds; 0 never ends a job.
  private let limit = Atomic<UInt64>(300_000_000_000)
  private let stopping = Atomic<Bool>(false), orphaned = Atomic<Bool>(false)
  private let stopped = DispatchSemaphore(value: 0)
  private let parent = getppid()

  /// Starts to watch; nil where a rank is alone. Every rank makes one at the same place.
  init?(_ communicator: TimedCommunicator) throws {
    hosts = try communicator.hosts()
    guard let mailbox = try communicator.mailbox() else { return nil }
    (self.communicator, self.mailbox) = (communicator, mailbox)
    Threads.start("lineup-watch") { self.watch() }
  }

  /// Seconds that a rank may be missing; 0 waits for ever.
  package func setLimit(seconds: Double) { limit.store(UInt64(seconds * 1e9), ordering: .relaxed) }

  /// This rank gets on: for what takes long before the first step.
  package func beat() { communicator.timeline.beat() }

  /// Whether the launcher of this rank is gone, and with it the ranks' way to be told anything.
  package var isOrphan: Bool { orphaned.load(ordering: .relaxed) }

  /// At the end of the job, after the last collective: returns when the thread has ended. What MPI does to end itself is
  /// given the same time.
  func stop() {
    stopping.store(true, ordering: .relaxed)
    stopped.wait()
    let seconds = limit.load(ordering: .relaxed) / 1_000_000_000
    guard seconds > 0 else { return }
    Threads.start("lineup-last") {
      sleep(UInt32(seconds))
      Launcher.endLater()
      LastWords.say("the job is done, but MPI has not ended for \(seconds) s", .missing)
    }
  }

  // MARK: - The thread

  private func watch() {
    var roll = Roll(rank: communicator.rank, size: communicator.size, now: Timeline.now)
    var lastPost: UInt64 = 0, lastLook = Timeline.now, orphanedAt: UInt64?
    while !stopping.load(ordering: .relaxed) {
      let limit = limit.load(ordering: .relaxed), interval = min(max(limit / 16, 20_000_000), 5_000_000_000)
      let now = Timeline.now
      // Stopped and continued, this rank has heard of nobody, and it is not the others that were missing.
      if now - lastLook > max(limit / 4, 1_000_000_000) { roll.resume(now: now) }
      lastLook = now
      roll.note(own: communicator.timeline.standing, progress: communicator.timeline.progress, now: now)
      do {
        while let (letter, from) = try mailbox.receive() { roll.receive(letter, from: from, now: now) }
        if now - lastPost >= interval {
          lastPost = now
          let letter = roll.letter(now: now)
          for rank in roll.recipients { try mailbox.post(letter, to: rank) }
        }
      } catch {
        // A mailbox that fails tells nothing; who is missing shows in the letters that do not come.
      }
      if limit > 0, let verdict = roll.verdict(limit: limit, now: now) { end(verdict.line(hosts: hosts)) }
      if orphanedAt == nil && getppid() != parent {
        orphanedAt = now
        orphaned.store(true, ordering: .relaxed)
        StopSignal.request()
      }
      // Asked to stop, a training checkpoints and ends by itself; nothing else has anything to save.
      if let orphanedAt, now - orphanedAt > max(limit, 10_000_000_000) {
        end("its launcher (mpirun) is gone, and the job did not end by itself")
      }
      usleep(useconds_t(min(interval, 100_000_000) / 1000))
    }
    stopped.signal()
  }

  private func end(_ line: String) -> Never {
    Console.complain("rank \(communicator.rank) on \(Host.name): \(line)")
    // The other ranks come to the same verdict in the same moment, and each is to say so before the launcher hears of it.
    Launcher.endLater()
    usleep(1_500_000)
    let communicator = communicator
    Threads.start("lineup-abort") { communicator.abort(Failure.Kind.missing.rawValue) }
    sleep(3)  // the launcher may be out of reach itself
    _exit(Failure.Kind.missing.rawValue)
  }
}
