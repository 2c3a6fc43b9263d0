import CProtobuf
import Foundation

/// Memory of messages of protobuf-c that are made here: released with this object.
package final class MessageStorage {
  private var releases: [() -> Void] = []

  package init() {}

  deinit { for release in releases { release() } }

  /// A message, begun by its `…__init`.
  package func message<T>(_ initialize: (UnsafeMutablePointer<T>) -> Void, _ fill: (inout T) -> Void)
    -> UnsafeMutablePointer<T>?
  {
    let message = UnsafeMutablePointer<T>.allocate(capacity: 1)
    releases.append { message.deallocate() }
    initialize(message)
    fill(&message.pointee)
    return message
  }

  package func text(_ value: String) -> UnsafeMutablePointer<CChar> {
    let copy = strdup(value)!
    releases.append { free(copy) }
    return copy
  }

  package func list<T>(_ values: [T]) -> UnsafeMutablePointer<T> {
    let copy = UnsafeMutablePointer<T>.allocate(capacity: max(1, values.count))
    copy.initialize(from: values, count: values.count)
    releases.append { copy.deallocate() }
    return copy
  }

  /// The bytes of `values` as they stand in memory: little-endian.
  package func bytes<T>(of values: [T]) -> ProtobufCBinaryData {
    let start = UnsafeMutableRawPointer(list(values)).assumingMemoryBound(to: UInt8.self)
    return ProtobufCBinaryData(len: values.count * MemoryLayout<T>.stride, data: start)
  }
}
