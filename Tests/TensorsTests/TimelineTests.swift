import Foundation
import Tensors
import Testing

@Suite struct TimelineTests {
  private struct Expected: Error {}

  @Test func spansAreTakenInTheOrderOfTheirEnds() throws {
    let timeline = Timeline()
    let before = Timeline.now
    let value = timeline.measure(.phase, "outer") {
      timeline.measure(.convolution, "first") { usleep(200) }
      return timeline.measure(.collective, "second") { 7 }
    }
    let after = Timeline.now
    let spans = timeline.take()
    #expect(value == 7 && spans.map(\.name) == ["first", "second", "outer"])
    #expect(spans.map(\.activity) == [.convolution, .collective, .phase])
    #expect(spans.allSatisfy { before <= $0.start && $0.start <= $0.end && $0.end <= after })
    #expect(zip(spans, spans.dropFirst()).allSatisfy { $0.end <= $1.end })
    let (first, second, outer) = (spans[0], spans[1], spans[2])
    #expect(
      outer.start <= first.start && first.end <= second.start, "the phase encloses the others")
    #expect(first.seconds >= 200e-6, "nanoseconds")
  }

  @Test func whatThrowsIsRecordedToo() throws {
    let timeline = Timeline()
    #expect(throws: Expected.self) {
      try timeline.measure(.reduction, "outer") {
        try timeline.measure(.bucket, "inner", lane: .communication) { throw Expected() }
      }
    }
    let spans = timeline.take()
    #expect(
      spans.map(\.name) == ["inner", "outer"] && spans.map(\.lane) == [.communication, .step])
  }

  @Test func lanes() {
    let timeline = Timeline()
    let lanes: [Timeline.Lane] = [.communication, .loader(0), .loader(1), .step]
    for lane in lanes { timeline.measure(.decoding, "", lane: lane) {} }
    timeline.measure(.optimizer, "the step's where nothing is said") {}
    #expect(timeline.take().map(\.lane) == lanes + [.step])
    #expect(Set(lanes).count == 4)
  }

  @Test func takeEmpties() {
    let timeline = Timeline()
    #expect(timeline.take().isEmpty)
    timeline.measure(.loading, "a") {}
    #expect(timeline.take().count == 1)
    #expect(timeline.take().isEmpty)
    timeline.measure(.packing, "b") {}
    #expect(timeline.take().map(\.name) == ["b"])
  }

  /// What is open while the spans are taken belongs to the next ones.
  @Test func anOpenSpanIsNotTaken() {
    let timeline = Timeline()
    timeline.measure(.phase, "open") { #expect(timeline.take().isEmpty) }
    #expect(timeline.take().map(\.name) == ["open"])
  }

  @Test func secondsAreNanosecondsApart() {
    let span = Timeline.Span(
      .loading, "images", .loader(3), start: 1_000_000_000, end: 3_500_000_000)
    #expect(span.seconds == 2.5 && span.lane == .loader(3))
    #expect(Timeline.Span(.loading, "", .step, start: 5, end: 5).seconds == 0)
    let timeline = Timeline()
    timeline.record(span)
    #expect(timeline.take().map(\.end) == [3_500_000_000])
  }

  @Test func theClockDoesNotGoBack() {
    var last = Timeline.now
    for _ in 0..<1000 {
      let now = Timeline.now
      #expect(now >= last)
      last = now
    }
  }

  /// No span is lost or changed, and each thread's stay in their order, while another takes them.
  @Test func severalThreads() {
    let timeline = Timeline()
    let threads = 4
    let each = 2000
    let done = Buffer<Int>(count: threads)
    let group = DispatchGroup()
    for thread in 0..<threads {
      group.enter()
      Thread.detachNewThread {
        for i in 0..<each { timeline.measure(.decoding, "\(i)", lane: .loader(thread)) {} }
        done[thread] = 1
        group.leave()
      }
    }
    var spans: [Timeline.Span] = []
    while group.wait(timeout: .now() + 0.001) == .timedOut { spans += timeline.take() }
    spans += timeline.take()
    #expect(spans.count == threads * each && done.array.allSatisfy { $0 == 1 })
    for thread in 0..<threads {
      let own = spans.filter { $0.lane == .loader(thread) }
      #expect(own.map(\.name) == (0..<each).map { "\($0)" })
      #expect(zip(own, own.dropFirst()).allSatisfy { $0.end <= $1.start })
    }
  }
}
