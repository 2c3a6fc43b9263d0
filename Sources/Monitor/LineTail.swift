import Storage

/// A file of lines that grows, is replaced, or goes, while it is looked at.
struct LineTail {
  let path: String
  private var place = 0
  private var identity: FileIdentity?

  init(_ path: String) { self.path = path }

  /// What is new since the last look: calls `reset` first where the file is another than it was, or shorter.
  /// - Throws: `Failure.data`.
  mutating func look(reset: () -> Void, _ body: (ArraySlice<UInt8>) -> Void) throws {
    let found = FileIdentity(path), size = InputFile.size(path)
    if found != identity || size ?? 0 < place {
      if identity != nil { reset() }
      (identity, place) = (found, 0)
    }
    guard size != nil, found != nil else { return }
    place = try Lines.read(try InputFile(path), from: place, body)
  }
}
