import Collectives
import Foundation
import Storage
import Tensors

/// Which parts of a step's time the thread that runs it spent on what; the rest is elementwise work and losses.
package struct StepShares: Sendable, Equatable {
  package let convolution: Double, collective: Double, reduction: Double, loading: Double, packing: Double
  package let optimizer: Double

  init(_ spans: [Timeline.Span], seconds: Double) {
    func share(_ activity: Timeline.Activity) -> Double {
      let total = spans.reduce(0) { $0 + ($1.activity == activity && $1.lane == .step ? $1.seconds : 0) }
      return seconds > 0 ? total / seconds : 0
    }
    (convolution, collective, reduction) = (share(.convolution), share(.collective), share(.reduction))
    (loading, packing, optimizer) = (share(.loading), share(.packing), share(.optimizer))
  }

  /// By the names of their fields.
  static let names = [
    "convolutionShare", "collectiveShare", "reductionShare", "loadingShare", "packingShare", "optimizerShare",
  ]
  var values: [Double] { [convolution, collective, reduction, loading, packing, optimizer] }

  /// As fields of a line of `metrics.jsonl`.
  var fields: [(key: String, value: MetricValue)] {
    zip(Self.names, values).map { ($0, .number($1)) }
  }
}

/// The timeline of one step of all ranks, as a file in Chrome's trace event format (chrome://tracing, Perfetto): a process
/// a rank, a lane a thread.
package struct StepTrace {
  package let path: String
  /// The step of this process that is traced, counted from 1: the first ones find their memory for the first time.
  static let step = 3

  package init(path: String) { self.path = path }

  /// Writes the spans of every rank; on all ranks alike. `origin`: when this rank's step began, after a barrier.
  func write(_ spans: [Timeline.Span], since origin: UInt64, _ communicator: any Communicator) throws {
    let rank = communicator.rank
    let names = Set(spans.map(\.lane)).map { lane in
      Self.event(
        [
          ("name", .text("thread_name")), ("ph", .text("M")), ("pid", .integer(rank)),
          ("tid", .integer(Self.thread(lane))),
        ], arguments: [("name", .text(Self.name(lane)))])
    }
    let process = Self.event(
      [("name", .text("process_name")), ("ph", .text("M")), ("pid", .integer(rank)), ("tid", .integer(0))],
      arguments: [("name", .text("rank \(rank)"))])
    let events = spans.map { span in
      Self.event([
        ("name", .text(span.name)), ("cat", .text(span.activity.rawValue)), ("ph", .text("X")),
        ("ts", .number((Double(span.start) - Double(origin)) / 1000)), ("dur", .number(span.seconds * 1e6)),
        ("pid", .integer(rank)), ("tid", .integer(Self.thread(span.lane))),
      ])
    }
    let all = try communicator.allgather(Array(([process] + names + events).joined(separator: ",\n").utf8))
    try communicator.agree {
      guard communicator.isCoordinator else { return }
      try AtomicFiles.write(to: path) { file in
        try file.write("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n")
        for (index, bytes) in all.enumerated() {
          try file.write((index > 0 ? ",\n" : "") + String(decoding: bytes, as: UTF8.self))
        }
        try file.write("\n]}\n")
      }
    }
  }

  private static func event(
    _ fields: [(key: String, value: MetricValue)], arguments: [(key: String, value: MetricValue)] = []
  ) -> String {
    func object(_ fields: [(key: String, value: MetricValue)]) -> String {
      fields.map { "\(MetricValue.quoted($0.key)): \($0.value.json)" }.joined(separator: ", ")
    }
    return "{\(object(fields))" + (arguments.isEmpty ? "" : ", \"args\": {\(object(arguments))}") + "}"
  }

  private static func thread(_ lane: Timeline.Lane) -> Int {
    switch lane {
    case .step: 0
    case .communication: 1
    case .loader(let index): 2 + index
    }
  }

  private static func name(_ lane: Timeline.Lane) -> String {
    switch lane {
    case .step: "step"
    case .communication: "gradient buckets"
    case .loader(let index): "loader \(index)"
    }
  }
}
