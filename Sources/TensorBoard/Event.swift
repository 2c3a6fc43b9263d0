import CTensorBoard
import Foundation

/// What a record of an event file says.
package struct Event {
  package enum Content {
    /// The first record of a file.
    case version
    /// From `step` on everything is told anew: what was told of it before does not count.
    case start
    case summary([EventValue])
  }

  private let step: Int, time: Double, content: Content

  /// - Parameter time: seconds since 1970.
  package init(step: Int, time: Double, content: Content) {
    (self.step, self.time, self.content) = (step, time, content)
  }

  /// As protobuf has it.
  package var message: [UInt8] {
    var event = Tensorboard__Event()
    tensorboard__event__init(&event)
    (event.wall_time, event.step) = (time, Int64(step))
    switch content {
    case .version:
      return "brain.Event:2".withCString { text in
        event.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION
        event.file_version = UnsafeMutablePointer(mutating: text)
        return Self.packed(&event)
      }
    case .start:
      var session = Tensorboard__SessionLog()
      tensorboard__session_log__init(&session)
      session.status = TENSORBOARD__SESSION_LOG__SESSION_STATUS__START
      return withUnsafeMutablePointer(to: &session) { session in
        event.what_case = TENSORBOARD__EVENT__WHAT_SESSION_LOG
        event.session_log = session
        return Self.packed(&event)
      }
    case .summary(let values):
      var pointers = values.map { Optional($0.message()) }
      defer { for (value, pointer) in zip(values, pointers) { value.release(pointer!) } }
      return pointers.withUnsafeMutableBufferPointer { pointers in
        var summary = Tensorboard__Summary()
        tensorboard__summary__init(&summary)
        (summary.n_value, summary.value) = (pointers.count, pointers.baseAddress)
        return withUnsafeMutablePointer(to: &summary) { summary in
          event.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY
          event.summary = summary
          return Self.packed(&event)
        }
      }
    }
  }

  private static func packed(_ event: inout Tensorboard__Event) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: tensorboard__event__get_packed_size(&event)) { buffer, count in
      count = tensorboard__event__pack(&event, buffer.baseAddress)
    }
  }
}

/// A number or a picture under a tag; what stands before a slash of the tag groups them on the page.
package enum EventValue: Sendable {
  case scalar(String, Float)
  /// A PNG file, of `width` × `height` RGB pixels.
  case image(String, png: [UInt8], width: Int, height: Int)

  /// To be given to `release`.
  fileprivate func message() -> UnsafeMutablePointer<Tensorboard__Summary__Value> {
    let value = UnsafeMutablePointer<Tensorboard__Summary__Value>.allocate(capacity: 1)
    tensorboard__summary__value__init(value)
    switch self {
    case .scalar(let tag, let number):
      value.pointee.tag = strdup(tag)
      value.pointee.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE
      value.pointee.simple_value = number
    case .image(let tag, let png, let width, let height):
      let image = UnsafeMutablePointer<Tensorboard__Summary__Image>.allocate(capacity: 1)
      tensorboard__summary__image__init(image)
      (image.pointee.width, image.pointee.height, image.pointee.colorspace) = (Int32(width), Int32(height), 3)
      let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: png.count)
      _ = bytes.initialize(from: png)
      image.pointee.encoded_image_string = .init(len: png.count, data: bytes.baseAddress)
      value.pointee.tag = strdup(tag)
      value.pointee.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_IMAGE
      value.pointee.image = image
    }
    return value
  }

  fileprivate func release(_ message: UnsafeMutablePointer<Tensorboard__Summary__Value>) {
    if case .image = self, let image = message.pointee.image {
      image.pointee.encoded_image_string.data.deallocate()
      image.deallocate()
    }
    free(message.pointee.tag)
    message.deallocate()
  }
}
