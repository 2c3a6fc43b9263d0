import LineupKit

// What lineup.h declares. A model is an object that `lineup_open` retains and `lineup_close` releases; no error crosses as anything
// but a status and a line.

/// Writes as much of a line as `size` bytes take, always terminated.
private func write(_ line: String, to text: UnsafeMutablePointer<CChar>?, _ size: Int) {
  guard let text, size > 0 else { return }
  // Not half of a character.
  var line = Substring(line)
  while line.utf8.count > size - 1 { line.removeLast() }
  for (i, byte) in line.utf8.enumerated() { text[i] = CChar(bitPattern: byte) }
  text[line.utf8.count] = 0
}

private func model(_ handle: UnsafeRawPointer) -> EmbeddingModel {
  Unmanaged<EmbeddingModel>.fromOpaque(handle).takeUnretainedValue()
}

/// 0, or 1 with the reason in `text`.
private func status(
  _ text: UnsafeMutablePointer<CChar>?, _ size: Int, _ body: () throws(LineupError) -> Void
) -> CInt {
  do throws(LineupError) {
    try body()
    return 0
  } catch {
    write(error.description, to: text, size)
    return 1
  }
}

@_cdecl("lineup_open")
public func lineupOpen(
  _ checkpoint: UnsafePointer<CChar>, _ threads: CInt, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> UnsafeMutableRawPointer? {
  var handle: UnsafeMutableRawPointer?
  _ = status(text, size) { () throws(LineupError) in
    let model = try EmbeddingModel(checkpoint: String(cString: checkpoint), threads: Int(threads))
    handle = Unmanaged.passRetained(model).toOpaque()
  }
  return handle
}

@_cdecl("lineup_close")
public func lineupClose(_ handle: UnsafeRawPointer?) {
  if let handle { Unmanaged<EmbeddingModel>.fromOpaque(handle).release() }
}

@_cdecl("lineup_embedding_length")
public func lineupEmbeddingLength(_ handle: UnsafeRawPointer) -> CInt { CInt(model(handle).length) }

@_cdecl("lineup_input_height")
public func lineupInputHeight(_ handle: UnsafeRawPointer) -> CInt { CInt(model(handle).inputHeight) }

@_cdecl("lineup_input_width")
public func lineupInputWidth(_ handle: UnsafeRawPointer) -> CInt { CInt(model(handle).inputWidth) }

@_cdecl("lineup_embed")
public func lineupEmbed(
  _ handle: UnsafeRawPointer, _ rgb: UnsafePointer<UInt8>, _ count: CInt, _ height: CInt, _ width: CInt,
  _ features: UnsafeMutablePointer<Float>, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
  status(text, size) { () throws(LineupError) in
    let area = Int(width) * Int(height)
    var images: [Image] = []
    for index in 0..<max(0, Int(count)) {
      // Nothing is read of an image that is not taken.
      let isTaken = width > 0 && height > 0 && area <= Image.mostPixels
      let bytes = isTaken ? Array(UnsafeBufferPointer(start: rgb + 3 * area * index, count: 3 * area)) : []
      images.append(try Image(width: Int(width), height: Int(height), rgb: bytes))
    }
    store(try model(handle).embed(images), in: features)
  }
}

@_cdecl("lineup_embed_files")
public func lineupEmbedFiles(
  _ handle: UnsafeRawPointer, _ paths: UnsafePointer<UnsafePointer<CChar>?>, _ count: CInt,
  _ features: UnsafeMutablePointer<Float>, _ text: UnsafeMutablePointer<CChar>?, _ size: Int
) -> CInt {
  status(text, size) { () throws(LineupError) in
    let files = (0..<max(0, Int(count))).map { paths[$0].map { String(cString: $0) } ?? "" }
    store(try model(handle).embed(files: files), in: features)
  }
}

private func store(_ embeddings: Embeddings, in features: UnsafeMutablePointer<Float>) {
  features.update(from: embeddings.values, count: embeddings.values.count)
}
