import Foundation
import Fuzzing
import TestSupport
import Testing

/// What a reader takes at its peak, measured in a process of its own.
@Suite struct MemoryTests {
  /// Beside the test bundle, in the folder of the build's products.
  private static let command = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()
    .appendingPathComponent("lineup-fuzz")

  /// KiB, and what the reader said.
  private func read(_ target: FuzzTarget, _ path: String) throws -> (peak: Int, said: String) {
    let process = Process(), output = Pipe()
    process.executableURL = Self.command
    process.arguments = [target.rawValue, path]
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(target), \(path): it ended")
    let parts = text.split(separator: ",", maxSplits: 1)
    return (
      Int(text.prefix { $0.isNumber }) ?? .max,
      parts.count == 2 ? parts[1].trimmingCharacters(in: .whitespacesAndNewlines) : text
    )
  }

  private func file(_ folder: TemporaryFolder, _ name: String, _ bytes: [UInt8], size: Int? = nil) throws -> String {
    let path = try folder.file(name)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    if let size { #expect(truncate(path, off_t(size)) == 0) }
    return path
  }

  private func safetensors(_ header: String, size: Int? = nil) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) } + Array(header.utf8)
  }

  private func npy(_ descr: String, _ shape: String) -> [UInt8] {
    let header = "{'descr': '\(descr)', 'fortran_order': False, 'shape': \(shape), }\n"
    return [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, 1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8)
  }

  /// Little is taken for a file that only says it is large.
  private func expectRefused(
    _ target: FuzzTarget, _ path: String, _ reason: String, mebibytes: Int = 8,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (peak, said) = try read(target, path)
    #expect(said.hasPrefix("refused") && said.contains(reason), "\(said)", sourceLocation: sourceLocation)
    #expect(peak < mebibytes << 10, "\(peak) KiB", sourceLocation: sourceLocation)
  }

  @Test func claimsTakeNoMemory() throws {
    let folder = try TemporaryFolder()
    for shape in ["[1152921504606846976]", "[4294967296,4294967296,4]", "[9223372036854775807]", "[1099511627776]"] {
      let header = #"{"a":{"dtype":"F32","shape":\#(shape),"data_offsets":[0,16]}}"#
      try expectRefused(.safetensors, file(folder, "a", safetensors(header)), "a")
    }
    let long = [UInt8](repeating: 0xff, count: 3) + [0, 0, 0, 0, 0]
    try expectRefused(.safetensors, file(folder, "b", long), "truncated")
    for shape in ["(4611686018427387904, 4)", "(1099511627776, 1)", "(9223372036854775807, 9223372036854775807)"] {
      try expectRefused(.npy, file(folder, "c", npy("<f4", shape)), "do not fit")
    }
  }

  /// A sparse file is as large as it says and takes no disk.
  @Test func sparseFilesAreRefused() throws {
    let folder = try TemporaryFolder(), tera = 1 << 42
    let header = #"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#
    try expectRefused(
      .safetensors, file(folder, "a", safetensors(header), size: 8 + header.utf8.count + tera), "memory")
    for (descr, rows) in [("<f4", tera / 4), ("<f8", tera / 8)] {
      let start = npy(descr, "(\(rows), 1)")
      try expectRefused(.npy, file(folder, "b", start, size: start.count + tera), "memory")
    }
    for target in [FuzzTarget.csv, .ownData, .imageList, .state, .configuration, .jpeg, .png] {
      try expectRefused(target, file(folder, "c", [], size: tera), "more than")
    }
  }

  @Test func imagesThatClaimToBeLarge() throws {
    let folder = try TemporaryFolder()
    for (name, bytes) in try Corpus.files(.jpeg) {
      guard let frame = bytes.indices.dropLast(9).first(where: { bytes[$0] == 0xff && 0xc0...0xc2 ~= bytes[$0 + 1] })
      else { continue }
      func claiming(_ size: Int) -> [UInt8] {
        var claim = bytes
        for place in [frame + 5, frame + 7] {
          (claim[place], claim[place + 1]) = (UInt8(size >> 8), UInt8(size & 0xff))
        }
        return claim
      }
      try expectRefused(.jpeg, file(folder, name, claiming(65500)), "pixels")
      // Below the limit, and the data is that of a small image.
      try expectRefused(.jpeg, file(folder, name, claiming(9999)), "jpg", mebibytes: 64)
    }
  }

  @Test func pngsThatClaimToBeLarge() throws {
    let folder = try TemporaryFolder()
    for (name, bytes) in try Corpus.files(.png) {
      func claiming(_ width: Int, _ height: Int) -> [UInt8] {
        var claim = bytes
        for (place, side) in [(16, width), (20, height)] {
          claim.replaceSubrange(place..<(place + 4), with: (0..<4).map { UInt8(side >> (24 - 8 * $0) & 0xFF) })
        }
        return FuzzBytes.withSums(claim)
      }
      try expectRefused(.png, file(folder, name, claiming(65500, 65500)), "pixels")
      try expectRefused(.png, file(folder, name, claiming(100_000_000, 1)), "more than 65535 a side")
      // Below the limit, and the data is that of a small image.
      try expectRefused(.png, file(folder, name, claiming(9999, 9999)), "png", mebibytes: 64)
    }
  }

  @Test func largeFilesTakeTheirSizeTwice() throws {
    let folder = try TemporaryFolder(), size = 32 << 20
    func expectTwice(_ target: FuzzTarget, _ path: String) throws {
      let (peak, said) = try read(target, path),
        bytes = try FileManager.default.attributesOfItem(atPath: path)[.size] as! Int
      #expect(
        said == "accepted" && peak << 10 < 2 * bytes + 16 << 20, "\(target): \(peak) KiB for \(bytes >> 10): \(said)")
    }
    let header = #"{"a":{"dtype":"F32","shape":[\#(size / 4)],"data_offsets":[0,\#(size)]}}"#
    try expectTwice(.safetensors, file(folder, "a", safetensors(header), size: 8 + header.utf8.count + size))
    for (descr, count) in [("<f4", size / 4), ("<f8", size / 8)] {
      let start = npy(descr, "(\(count / 512), 512)")
      try expectTwice(.npy, file(folder, "b", start, size: start.count + size))
    }
    let row = Array("people/0001_c1s1_000001_00.jpg,1,1\n".utf8)
    var table = Array("path,identity,camera\n".utf8)
    while table.count < size { table += row }
    try expectTwice(.csv, file(folder, "c", table))
  }
}
