import CMinizip
import Foundation
import Storage
import Tensors

/// A zip archive open for reading, through minizip. Nothing is ever unpacked to disk; entries are known by name only.
final class ZipArchive {
  private struct Entry {
    var position: unz64_file_pos
    let size: Int
  }

  let path: String
  /// In the order of the archive.
  private(set) var names: [String] = []
  private var entries: [String: Entry] = [:]
  private let file: InputFile, archive: unzFile

  /// What deflate makes of a byte at most.
  private static let mostExpansion = 1032
  private static let longestName = 512

  /// - Throws: `Failure.data` where it is no archive, or one whose entries cannot be what they say.
  init(path: String) throws {
    let file = try InputFile(path), size = file.size
    guard let archive = unzOpen64(path) else {
      throw Failure.data(path, "a zip archive that is damaged or cut short: its list of entries cannot be read")
    }
    (self.file, self.path, self.archive) = (file, path, archive)
    var status = unzGoToFirstFile(archive), total = 0
    while status == UNZ_OK {
      let (name, entry, packed) = try current(size)
      guard entries.updateValue(entry, forKey: name) == nil else {
        throw Failure.data(path, "has the entry \(name) twice")
      }
      names.append(name)
      total += packed
      guard total <= size else { throw Failure.data(path, "damaged: its entries overlap") }
      status = unzGoToNextFile(archive)
    }
    guard status == UNZ_END_OF_LIST_OF_FILE else {
      throw Failure.data(path, "damaged: its list of entries breaks off after \(names.count)")
    }
  }

  deinit { unzClose(archive) }

  private func current(_ fileSize: Int) throws -> (name: String, Entry, packed: Int) {
    var info = unz_file_info64(), name = [CChar](repeating: 0, count: Self.longestName + 1)
    guard unzGetCurrentFileInfo64(archive, &info, &name, UInt(Self.longestName), nil, 0, nil, 0) == UNZ_OK else {
      throw Failure.data(path, "damaged: its list of entries cannot be read")
    }
    guard info.size_filename <= UInt(Self.longestName) else {
      throw Failure.data(path, "has an entry whose name is longer than \(Self.longestName) bytes")
    }
    let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    func wrong(_ what: String) -> Failure { .data(path, "entry \(text) \(what)") }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    if text.hasPrefix("/") || text.contains("\\") || parts.contains("..") {
      throw wrong("has a name that leads elsewhere")
    }
    if info.flag & 1 != 0 { throw wrong("is encrypted") }
    guard let size = Int(exactly: info.uncompressed_size), let packed = Int(exactly: info.compressed_size),
      packed <= fileSize
    else { throw wrong("is larger than the file") }
    switch info.compression_method {
    case 0: if size != packed { throw wrong("is stored as \(packed) bytes and claims \(size)") }
    case 8:
      if size / Self.mostExpansion > packed + 1 { throw wrong("claims \(size) bytes, more than \(packed) can hold") }
    default: throw wrong("is compressed by method \(info.compression_method), expected stored or deflated")
    }
    var position = unz64_file_pos()
    guard unzGetFilePos64(archive, &position) == UNZ_OK else { throw wrong("cannot be found") }
    return (text, Entry(position: position, size: size), packed)
  }

  /// Bytes of an entry when it is unpacked, as it says; nil where there is none.
  func size(_ name: String) -> Int? { entries[name]?.size }

  /// An entry's bytes, whose sum has been checked. Memory grows with what really comes.
  /// - Throws: `Failure.data` with file and entry.
  func read(_ name: String, limit: Int = .max) throws -> [UInt8] {
    guard var entry = entries[name] else { throw Failure.data(path, "has no entry \(name)") }
    func wrong(_ what: String) -> Failure { .data(path, "entry \(name) \(what)") }
    guard entry.size <= limit else { throw wrong("has \(entry.size) bytes, more than the \(limit) that it may have") }
    try file.requireMemory(entry.size)
    guard unzGoToFilePos64(archive, &entry.position) == UNZ_OK, unzOpenCurrentFile(archive) == UNZ_OK else {
      throw wrong("is damaged: it cannot be found, or its two headers differ")
    }
    var isOpen = true
    defer { if isOpen { unzCloseCurrentFile(archive) } }
    var bytes: [UInt8] = []
    while bytes.count < entry.size {
      let wanted = min(entry.size - bytes.count, max(1 << 20, bytes.count))
      var got: CInt = 0
      let more = [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
        got = unzReadCurrentFile(archive, buffer.baseAddress, UInt32(min(wanted, 1 << 30)))
        count = max(0, Int(got))
      }
      guard got > 0 else { throw wrong("is damaged, or cut short after \(bytes.count) of \(entry.size) bytes") }
      if bytes.isEmpty { bytes = more } else { bytes += more }
    }
    isOpen = false
    guard unzCloseCurrentFile(archive) == UNZ_OK else { throw wrong("is damaged: its check sum is another") }
    return bytes
  }
}
