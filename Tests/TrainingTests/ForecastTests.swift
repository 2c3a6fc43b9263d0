import Foundation
import Tensors
import Testing
import Training

@Suite struct ForecastTests {
  /// Two collectives of 1 kB and one bucket of 8 MB, which is whole a second before the backward pass ends.
  private static let profile = StepProfile(
    seconds: 4, backwardEnd: 3.5, collectives: [.init(start: 0.5, bytes: 1000), .init(start: 3.2, bytes: 1000)],
    buckets: [.init(start: 2.5, bytes: 8_000_000)], ranks: 2)

  private static func forecast(
    _ hosts: Int, ranks: Int = 1, gigabits: Double = 1, latency: Double = 1e-3, cost: Double = 0,
    of profile: StepProfile = profile
  ) -> Forecast {
    Forecast(
      profile, NetworkTraits(bytesPerSecond: gigabits * 1.25e8, latency: latency, secondsPerByte: cost), hosts: hosts,
      ranksPerHost: ranks)
  }

  @Test func oneHostIsWhatWasMeasured() {
    let one = Self.forecast(1, ranks: 4)
    #expect(one.seconds == 4 && one.efficiency == 1 && one.ranks == 4 && one.limit == .computation)
  }

  /// The bucket is through long before the backward pass ends: each collective costs a message.
  @Test func messagesOfCollectives() {
    for (hosts, rounds) in [(2, 1.0), (3, 2), (4, 2), (5, 3), (8, 3), (1024, 10)] {
      let quick = StepProfile(
        seconds: 4, backwardEnd: 3.5, collectives: Self.profile.collectives, buckets: [.init(start: 0.6, bytes: 800)],
        ranks: 2)
      let one = Self.forecast(hosts, gigabits: 10, of: quick), own = rounds * (1e-3 + 1000 / 1.25e9)
      #expect(abs(one.collectives - 2 * own) < 1e-9 && one.sending == 0, "\(hosts)")
      #expect(abs(one.seconds - 4 - one.collectives - one.gradients) < 1e-12)
      #expect(abs(one.efficiency - 4 / one.seconds) < 1e-12)
    }
  }

  /// 8 MB at 10 Mbit/s between two hosts: a chunk of 4 MB in each of two steps, 6.4 s from 2.5 s on, of which a second is behind
  /// the backward pass; the later collective stands in line for 128 KiB of it.
  @Test func gradientsOfASlowNetwork() {
    let one = Self.forecast(2, gigabits: 0.01, latency: 0)
    let line = 131_072 / 1.25e6, message = 1000 / 1.25e6
    #expect(abs(one.collectives - 2 * message - line) < 1e-9)
    // The barrier's wait is as late as a sleeping thread is.
    #expect(abs(one.gradients - (2.5 + message + 1.5e-4 + 6.4 - 3.5 - one.collectives)) < 1e-9)
    #expect(one.limit == .gradients)
  }

  /// On 1,024 hosts a chunk of 8 MB is 8 kB, and each of 2,046 steps takes as long as a message.
  @Test func aRingOfManyIsLimitedByItsMessages() {
    let late = StepProfile(
      seconds: 4, backwardEnd: 3.5, collectives: [], buckets: [.init(start: 3.4, bytes: 8_000_000)], ranks: 2)
    let one = Self.forecast(1024, gigabits: 100, latency: 1e-4, of: late), steps = 2056 * 2.5e-4 - 0.1
    #expect(one.gradients > steps && one.gradients < 1.01 * steps, "\(one.gradients), \(steps)")
    #expect(Self.forecast(1024, gigabits: 1000, latency: 1e-4, of: late).gradients > 0.99 * one.gradients)
    #expect(one.limit == .gradients)
  }

  /// What a rank sends, half of it each way between two hosts; ranks of a host share the work.
  @Test func sendingCosts() {
    #expect(abs(Self.forecast(2, gigabits: 100, cost: 1e-8).sending - 0.08) < 1e-12)
    #expect(abs(Self.forecast(2, ranks: 4, gigabits: 100, cost: 1e-8).sending - 0.02) < 1e-12)
    #expect(abs(Self.forecast(4, gigabits: 100, cost: 1e-8).sending - 0.12) < 1e-12)
    #expect(Self.forecast(4, gigabits: 100, cost: 1e-7).limit == .sending)
  }

  @Test func aBetterNetworkIsNeverSlower() {
    for hosts in [2, 3, 7, 16, 100] {
      let rates = [0.1, 0.5, 1, 5, 25, 100].map { Self.forecast(hosts, gigabits: $0).seconds }
      #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 >= $1 })
      let latencies = [1e-6, 1e-5, 1e-4, 1e-3].map { Self.forecast(hosts, latency: $0).seconds }
      #expect(zip(latencies, latencies.dropFirst()).allSatisfy { $0 <= $1 })
    }
  }

  @Test func networksAreSpelled() throws {
    let network = try NetworkTraits("25gbit,50us")
    #expect(network.bytesPerSecond == 25e9 / 8 && abs(network.latency - 5e-5) < 1e-18 && network.secondsPerByte == 1e-9)
    let slow = try NetworkTraits("100mbit,0.2ms,1.5s/GB")
    #expect(
      slow.bytesPerSecond == 1e8 / 8 && abs(slow.latency - 2e-4) < 1e-18 && abs(slow.secondsPerByte - 1.5e-9) < 1e-20)
    #expect(try NetworkTraits("0.477gbit,14.8us,0s/GB").secondsPerByte == 0, "as doctor says where noise is more")
    let again = try NetworkTraits(slow.description)
    #expect(abs(again.bytesPerSecond / slow.bytesPerSecond - 1) < 0.01 && abs(again.latency / slow.latency - 1) < 0.01)
    for text in [
      "", "25gbit", "25,50us", "25gbit,50", "0gbit,50us", "25gbit,-1us", "nangbit,1us", "25gbit,50us,1",
      "1gbit,1us,1s/GB,",
    ] {
      #expect(throws: Failure.self, "\(text)") { try NetworkTraits(text) }
    }
  }
}
