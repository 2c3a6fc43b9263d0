import CTensorBoard
import Protobuf

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
    let storage = MessageStorage()
    let event = storage.message(tensorboard__event__init) { (event: inout Tensorboard__Event) in
      (event.wall_time, event.step) = (time, Int64(step))
      switch content {
      case .version:
        event.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION
        event.file_version = storage.text("brain.Event:2")
      case .start:
        event.what_case = TENSORBOARD__EVENT__WHAT_SESSION_LOG
        event.session_log = storage.message(tensorboard__session_log__init) { (log: inout Tensorboard__SessionLog) in
          log.status = TENSORBOARD__SESSION_LOG__SESSION_STATUS__START
        }
      case .summary(let values):
        event.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY
        event.summary = storage.message(tensorboard__summary__init) { (summary: inout Tensorboard__Summary) in
          (summary.n_value, summary.value) = (values.count, storage.list(values.map { $0.message(storage) }))
        }
      }
    }
    return withExtendedLifetime(storage) {
      [UInt8](unsafeUninitializedCapacity: tensorboard__event__get_packed_size(event)) { buffer, count in
        count = tensorboard__event__pack(event, buffer.baseAddress)
      }
    }
  }
}

/// A number or a picture under a tag; what stands before a slash of the tag groups them on the page.
package enum EventValue: Sendable {
  case scalar(String, Float)
  /// A PNG file, of `width` × `height` RGB pixels.
  case image(String, png: [UInt8], width: Int, height: Int)

  fileprivate func message(_ storage: MessageStorage) -> UnsafeMutablePointer<Tensorboard__Summary__Value>? {
    storage.message(tensorboard__summary__value__init) { (value: inout Tensorboard__Summary__Value) in
      switch self {
      case .scalar(let tag, let number):
        value.tag = storage.text(tag)
        value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE
        value.simple_value = number
      case .image(let tag, let png, let width, let height):
        value.tag = storage.text(tag)
        value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_IMAGE
        value.image = storage.message(tensorboard__summary__image__init) { (image: inout Tensorboard__Summary__Image) in
          (image.width, image.height, image.colorspace) = (Int32(width), Int32(height), 3)
          image.encoded_image_string = storage.bytes(of: png)
        }
      }
    }
  }
}
