import Foundation
import Storage
import Tensors
import TestSupport
import Testing

@Suite struct MATFileTests {
  let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: [false, true]) func arraysTextsAndCellsAreRead(isHDF5: Bool) throws {
    let path = "\(folder.path)/a.mat"
    do {
      let writer = try #require(MATWriter(path, isHDF5: isHDF5))
      #expect(writer.write("numbers", .doubles([1, 2, 3, 4, 5, 6.5], [2, 3])))
      #expect(writer.write("integers", .int32([-1, 7], [2, 1])))
      #expect(writer.write("cells", .cells([.text("1_001.png"), nil, .bytes([1, 2, 250, 4], [2, 1, 2])], [3, 1])))
      #expect(writer.write("long", .int64([3, -5], [1, 2])))
    }
    let file = try MATFile(path: path)
    let numbers = try file.variable("numbers")
    #expect(numbers.shape == [2, 3])
    #expect(try numbers.numbers() == [1, 2, 3, 4, 5, 6.5])
    #expect(try file.variable("integers").integers() == [-1, 7])
    #expect(try file.variable("long").integers() == [3, -5])
    let cells = try file.variable("cells")
    #expect(cells.isCell)
    #expect(try cells.cell(0)?.text() == "1_001.png")
    #expect(try cells.cell(1) == nil)
    let bytes = try #require(try cells.cell(2))
    #expect(bytes.shape == [2, 1, 2])
    #expect(try bytes.bytes() == [1, 2, 250, 4])

    #expect(message(.data) { _ = try numbers.integers() } == "\(path), numbers: 6.5 where a whole number was expected")
    #expect(message(.data) { _ = try numbers.text() } == "\(path), numbers: expected text")
    #expect(message(.data) { _ = try numbers.bytes() } == "\(path), numbers: expected bytes")
    #expect(message(.data) { _ = try numbers.cell(0) } == "\(path), numbers: expected cells")
    #expect(message(.data) { _ = try cells.numbers() } == "\(path), cells: expected numbers")
    #expect(
      message(.data) { _ = try file.variable("nobody") }
        == "\(path): no variable \"nobody\" in it, but cells, integers, long, numbers")
  }

  @Test(arguments: [false, true]) func damagedFilesAreNamed(isHDF5: Bool) throws {
    let path = "\(folder.path)/b.mat"
    do {
      let writer = try #require(MATWriter(path, isHDF5: isHDF5))
      #expect(writer.write("numbers", .doubles([Double](repeating: 1, count: 900), [30, 30])))
    }
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    for count in [0, 100, bytes.count / 2] {
      try bytes.prefix(count).write(to: URL(fileURLWithPath: path))
      let found = try #require(message(.data) { _ = try MATFile(path: path).variable("numbers").numbers() })
      let reasons = ["is empty", "cut short", "no variable in it: cut short", "not a MAT file"]
      #expect(reasons.contains { found.hasPrefix("\(path): \($0)") }, "\(found)")
    }
    #expect(
      message(.data) { _ = try MATFile(path: "\(folder.path)/none.mat") }?.hasPrefix("\(folder.path)/none.mat: ")
        == true)
  }

  /// matio itself does not look at the checksum.
  @Test func aByteThatChangedInWhatIsCompressedIsNoticed() throws {
    let path = "\(folder.path)/c.mat"
    do {
      let writer = try #require(MATWriter(path))
      #expect(writer.write("numbers", .doubles((0..<900).map(Double.init), [30, 30]), isCompressed: true))
      #expect(writer.write("others", .doubles((0..<90_000).map { Double($0) * 1.37 }, [300, 300]), isCompressed: true))
    }
    #expect(try MATFile(path: path).variable("others").numbers().last == 89_999 * 1.37)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    for place in [600, bytes.count / 2, bytes.count - 1] {
      var changed = bytes
      changed[place] ^= 4
      try changed.write(to: URL(fileURLWithPath: path))
      let found = try #require(message(.data) { _ = try MATFile(path: path) })
      #expect(found.hasPrefix("\(path): damaged: what is compressed at byte ") && found.hasSuffix("its checksum"))
    }
  }
}
