import Foundation
import Storage
import Tensors

/// `events.out.tfevents.<seconds>.<host>.<process>`: what TensorBoard reads, appended to while it does.
///
/// A record reaches the system in one call. A run that goes on appends to its newest file, so that readers that look at one file
/// at a time (tbparse) see one curve too: a session that starts at a step takes the place of what was told of it and later ones.
package final class EventFile {
  package let path: String
  private let file: OutputFile

  private static let prefix = "events.out.tfevents."

  /// - Parameters:
  ///   - folder: is made where it is not there.
  ///   - step: the first one that is told from now on.
  /// - Throws: `Failure.internal` with the path and the system's reason.
  package init(in folder: String, from step: Int) throws {
    try AtomicFiles.makeDirectory(folder)
    let old = try Self.toContinue(in: folder)
    path = old ?? "\(folder)/\(Self.prefix)\(Int(Date().timeIntervalSince1970)).\(Host.name).\(getpid())"
    file = try OutputFile(path, flags: O_WRONLY | O_CREAT | O_APPEND)
    if old == nil { try append(0, .version) }
    try append(step, .start)
  }

  package func append(_ step: Int, _ values: [EventValue]) throws {
    if !values.isEmpty { try append(step, .summary(values)) }
  }

  private func append(_ step: Int, _ content: Event.Content) throws {
    let event = Event(step: step, time: Date().timeIntervalSince1970, content: content)
    try EventRecord.framed(event.message).withUnsafeBytes { try file.write($0) }
  }

  /// The newest file of the folder, cut to its whole records. Nil where there is none, or it is damaged: it stays as it is.
  private static func toContinue(in folder: String) throws -> String? {
    let names = try Folder.names(in: folder).filter {
      $0.hasPrefix(prefix) && InputFile.size("\(folder)/\($0)") ?? 0 > 0
    }
    guard let newest = names.max(), case let path = "\(folder)/\(newest)" else { return nil }
    do {
      switch try EventRecord.content(of: try InputFile(path)) {
      case .whole: return path
      case .torn(let whole) where whole > 0:
        guard truncate(path, off_t(whole)) == 0 else { throw Failure.system(.internal, path, errno) }
        return path
      case .torn, .damaged: return nil
      }
    } catch let failure as Failure where failure.kind == .data {
      return nil  // cannot be read
    }
  }
}
