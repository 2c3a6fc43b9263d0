import Dataset
import Foundation
import Tensors
import Testing

/// Runs `body` with the path of a new folder, which is removed afterwards.
func withFolder<T>(_ body: (String) throws -> T) throws -> T {
  let folder = NSTemporaryDirectory() + "/lineup-dataset-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// Makes empty files, and the folders they need, below `root`.
func touch(_ root: String, _ files: String...) throws {
  for file in files { try put("", root + "/" + file) }
}

/// Writes a text file, and makes the folder it needs.
func put(_ text: String, _ path: String) throws {
  let folder = String(path[..<path.lastIndex(of: "/")!])
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

/// What `body` fails with; a test failure where it does not fail.
func failure(sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) -> Failure {
  do {
    try body()
  } catch let failure as Failure {
    #expect(!failure.message.contains("\n"), sourceLocation: sourceLocation)
    return failure
  } catch {
    Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    return .internal("")
  }
  Issue.record("no failure", sourceLocation: sourceLocation)
  return .internal("")
}

/// A picture whose bytes follow a formula, the same as in the scripts that made the golden values.
func formulaImage(width: Int, height: Int) -> RGBImage {
  let pixels = (0..<(width * height * 3)).map { (i: Int) -> UInt8 in
    let value: Int = i * 7 + i * i * 3 + (i / 5) * 11
    return UInt8(value % 256)
  }
  return RGBImage(width: width, height: height, pixels: pixels)
}

/// A smooth picture, which JPEG keeps well.
func smoothImage(width: Int, height: Int, tone: Int = 0) -> RGBImage {
  var pixels: [UInt8] = []
  for y in 0..<height {
    for x in 0..<width {
      pixels += [UInt8(x * 200 / width), UInt8(y * 200 / height), UInt8((tone * 37 + 40) % 200)]
    }
  }
  return RGBImage(width: width, height: height, pixels: pixels)
}

/// `count` smooth pictures in `folder`, all different; identity is the number.
func pictures(_ folder: String, _ count: Int, width: Int, height: Int) throws -> [Sample] {
  try (0..<count).map { number in
    let path = "\(folder)/\(number).jpg"
    try ImageCodec.write(smoothImage(width: width, height: height, tone: number), quality: 90, path: path)
    return Sample(path: path, identity: number, camera: 1)
  }
}

/// FNV-1a of 64 bits, as in the programs that made golden digests.
func digest(_ bytes: [UInt8]) -> String {
  let value = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  let text = String(value, radix: 16)
  return String(repeating: "0", count: 16 - text.count) + text
}
