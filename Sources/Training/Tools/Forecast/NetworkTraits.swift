import Foundation
import Tensors

/// What a network between hosts does, as a forecast needs it.
package struct NetworkTraits: Sendable, Equatable {
  /// Of a host's link, in each direction.
  package var bytesPerSecond: Double
  /// From one rank to another on another host, in seconds.
  package var latency: Double
  /// What the computation beside it loses for a byte that a rank sends and one that it receives.
  package var secondsPerByte: Double

  package init(bytesPerSecond: Double, latency: Double, secondsPerByte: Double = Self.usualCost) {
    (self.bytesPerSecond, self.latency, self.secondsPerByte) = (bytesPerSecond, latency, secondsPerByte)
  }

  /// A second a gigabyte: copies into and out of the kernel, sums and conversions.
  package static let usualCost = 1e-9

  /// Such as `25gbit,50us` or `1gbit,0.2ms,1.5s/GB`: the rate of a link, the time a message takes, the cost beside,
  /// which may be none: `doctor` finds 0 s/GB where it is less than the noise of the machine.
  /// - Throws: `Failure.usage` with what was wrong.
  package init(_ text: String) throws {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    func value(
      _ part: String, _ units: KeyValuePairs<String, Double>, from least: Double = 1e-6
    ) -> Double? {
      for (unit, factor) in units where part.hasSuffix(unit) {
        let digits = part.dropLast(unit.count)
        guard digits.allSatisfy({ "0123456789.e+-".contains($0) }), let number = Double(digits) else { return nil }
        return least...1e6 ~= number ? number * factor : nil
      }
      return nil
    }
    guard (2...3).contains(parts.count), let rate = value(parts[0], ["gbit": 1e9 / 8, "mbit": 1e6 / 8]),
      let latency = value(parts[1], ["us": 1e-6, "ms": 1e-3]),
      let cost = parts.count == 3 ? value(parts[2], ["s/GB": 1e-9], from: 0) : Self.usualCost
    else {
      throw Failure.usage(
        "\(text) is no network: expected RATE in gbit or mbit,LATENCY in us or ms[,COST in s/GB], such as 25gbit,50us or 1gbit,0.2ms,1.5s/GB"
      )
    }
    self.init(bytesPerSecond: rate, latency: latency, secondsPerByte: cost)
  }

  /// ⌈log₂ hosts⌉: the messages, one after the other, in which a few bytes of each host come to all.
  static func rounds(of hosts: Int) -> Double { Double((hosts - 1).bitWidth - (hosts - 1).leadingZeroBitCount) }

  /// As `init(_:)` reads it.
  package var description: String {
    String(format: "%.3ggbit,%.3gus,%.2gs/GB", bytesPerSecond * 8e-9, latency * 1e6, secondsPerByte * 1e9)
  }
}
