import Collectives
import Foundation
import Tensors
import Testing

@Suite struct FailureTests {
  private struct Other: Error {}

  /// A rank that throws does not leave the others waiting: their collective throws too.
  @Test(.timeLimit(.minutes(1)), arguments: 2...4) func aFailingRankHangsNobody(_ size: Int) {
    let noticed = Buffer<Int>(count: size)
    let error = #expect(throws: Failure.self) {
      _ = try ThreadCommunicator.run(size) { communicator in
        try communicator.barrier()
        if communicator.rank == 1 { throw Failure.data("photo 7.jpg: truncated") }
        do {
          var value = [1.0]
          try communicator.allreduce(&value, .sum)
        } catch {
          noticed[communicator.rank] = 1
          throw error
        }
      }
    }
    #expect(error?.kind == .data && error?.message == "photo 7.jpg: truncated")
    #expect(noticed.array == (0..<size).map { $0 == 1 ? 0 : 1 })
  }

  /// A rank that goes on after such an error (as `agree` does) must not find a barrier that seems complete because the
  /// visits of aborted collectives were counted.
  @Test(.timeLimit(.minutes(1)), arguments: 2...4) func collectivesStayBrokenAfterAFailure(_ size: Int) {
    let passed = Buffer<Int>(count: size)
    #expect(throws: Failure.self) {
      _ = try ThreadCommunicator.run(size) { communicator in
        if communicator.rank == size - 1 { throw Failure.internal("gone") }
        for _ in 0..<6 {
          do {
            try communicator.barrier()
            passed[communicator.rank] += 1
          } catch {}
        }
      }
    }
    #expect(passed.array == [Int](repeating: 0, count: size), "a barrier without the failed rank let others pass")
  }

  /// Every rank throws with the first failing rank's exit code; one of them has the line to print.
  @Test(arguments: 1...4) func agreeMakesOneLineAndOneCode(_ size: Int) throws {
    let failing = size == 1 ? [0] : size == 2 ? [1] : [1, 2]
    let outcomes: [String] = try ThreadCommunicator.run(size) { communicator in
      do {
        try communicator.agree {
          if communicator.rank == 1 || size == 1 { throw Failure.data("rank \(communicator.rank): no such file") }
          if communicator.rank == 2 { throw Failure.usage("rank 2: wrong key") }
        }
        return "went on"
      } catch let error as AgreedFailure {
        return "\(error.kind.rawValue) \(error.failure?.message ?? "-")"
      }
    }
    #expect(outcomes == (0..<size).map { $0 == failing[0] ? "65 rank \($0): no such file" : "65 -" })
  }

  /// What is agreed on within is what is said, by the rank that said it.
  @Test func anAgreementWithinAnotherStays() throws {
    let found = try ThreadCommunicator.run(3) { communicator in
      do {
        try communicator.agree {
          try communicator.agree { if communicator.rank == 1 { throw Failure.data("photo 7.jpg", "truncated") } }
        }
        return "nothing"
      } catch let agreed as AgreedFailure {
        return "\(agreed.kind) \(agreed.line(rank: communicator.rank)?.contains("photo 7.jpg: truncated") ?? false)"
      }
    }
    #expect(found == ["data false", "data true", "data false"])
  }

  @Test func agreeReturnsValuesWhereNoneFails() throws {
    let values = try ThreadCommunicator.run(3) { communicator in try communicator.agree { communicator.rank * 10 } }
    #expect(values == [0, 10, 20])
  }

  /// After an agreed failure the communicator still works: the job ends in order.
  @Test func ranksStayInStepAfterAnAgreedFailure() throws {
    let sums = try ThreadCommunicator.run(3) { communicator in
      #expect(throws: AgreedFailure.self) {
        try communicator.agree { if communicator.rank == 2 { throw Other() } }
      }
      var value = [1.0]
      try communicator.allreduce(&value, .sum)
      return value[0]
    }
    #expect(sums == [3, 3, 3])
  }

  @Test func foreignErrorsAreInternal() throws {
    let kinds = try ThreadCommunicator.run(2) { communicator in
      do {
        try communicator.agree { if communicator.isCoordinator { throw Other() } }
        return ""
      } catch let error as AgreedFailure {
        return "\(error.kind.rawValue)\(error.failure.map { " \($0.message)" } ?? "")"
      }
    }
    #expect(kinds == ["70 Other()", "70"])
  }
}
