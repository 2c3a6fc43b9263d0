import Foundation
import Storage
import Tensors

/// CUHK03 (Li et al., CVPR 2014) as its authors give it, a MAT file of pictures, unpacked by the new protocol (Zhong et al., CVPR
/// 2017) to a folder in Market-1501's layout.
///
/// `cuhk-03.mat` has cells `detected` and `labeled`: of each pair of cameras cells persons × 10, five pictures by either camera.
/// The protocol's file lists all pictures by `pair_person_view_number.png`, with identities (`labels`), cameras (`camId`), and the
/// numbers, from 1, of those for training, query and gallery.
package enum CUHK03 {
  /// Writes PNG files, whose pixels are those of the MAT file: of picture n of the list, counted from 0, of identity i by camera c
  /// `i_cCs1_n_00.png`. Nothing is written before all pictures have been found, and nothing stays where one cannot be written.
  ///
  /// - Parameter output: the data set's folder, new or empty.
  /// - Returns: the data set that was written.
  /// - Throws: `Failure.data` that names file and variable, or a folder that has files in it.
  package static func unpack(
    pictures: String, protocol list: String, to output: String, progress: () -> Void = {}
  ) throws -> ReIDDataset {
    let protocolFile = try ProtocolFile(list)
    let pairs = try MATFile(path: pictures).variable(protocolFile.isLabeled ? "labeled" : "detected")
    let parts = try protocolFile.parts.map { try $0.map { ($0, try picture($0.place, in: pairs)) } }
    let layout = FolderLayout.market1501, isNew = !InputFile.isFolder(output)
    let folders = try layout.makeFolders(at: output)
    do {
      for (folder, entries) in zip(folders, parts) {
        for (entry, value) in entries {
          let name = String(format: "%04d_c%ds1_%06d_00.png", entry.identity, entry.camera, entry.number - 1)
          try ImageCodec.writePNG(try pixels(of: value), path: joinPath(folder, name))
          progress()
        }
      }
    } catch {
      for folder in isNew ? [output] : folders { try? FileManager.default.removeItem(atPath: folder) }
      throw error
    }
    return try layout.open(at: output)
  }

  /// A picture of the protocol's list.
  private struct Entry { let number: Int, place: Place, view: Int, identity: Int, camera: Int }

  /// Which picture of the MAT file, all numbers from 1.
  private struct Place: Hashable { let pair: Int, person: Int, picture: Int }

  /// [height, width, 3] bytes.
  private static func picture(_ place: Place, in pairs: MATValue) throws -> MATValue {
    func missing() -> Failure {
      pairs.failure("no picture \(place.picture) of person \(place.person) of camera pair \(place.pair)")
    }
    guard (1...max(pairs.count, 1)).contains(place.pair), let persons = try pairs.cell(place.pair - 1),
      persons.shape.count == 2, place.person <= persons.shape[0], place.picture <= persons.shape[1],
      let value = try persons.cell(place.person - 1 + (place.picture - 1) * persons.shape[0])
    else { throw missing() }
    guard value.shape.count == 3, value.shape[2] == 3, value.shape[0] > 0, value.shape[1] > 0 else {
      throw value.failure("\(value.shape) elements, expected height, width and 3 colours")
    }
    return value
  }

  private static func pixels(of value: MATValue) throws -> RGBImage {
    // MATLAB's order is column by column, colour by colour.
    let (height, width) = (value.shape[0], value.shape[1]), bytes = try value.bytes()
    var pixels = [UInt8](repeating: 0, count: bytes.count)
    for color in 0..<3 {
      for x in 0..<width {
        for y in 0..<height { pixels[(y * width + x) * 3 + color] = bytes[(color * width + x) * height + y] }
      }
    }
    return RGBImage(width: width, height: height, pixels: pixels)
  }

  /// The protocol's file.
  private struct ProtocolFile {
    let isLabeled: Bool
    /// Training, queries and gallery.
    let parts: [[Entry]]

    init(_ path: String) throws {
      let file = try MATFile(path: path)
      let last = (path.split(separator: "/").last ?? "").lowercased()
      guard last.contains("labeled") != last.contains("detected") else {
        throw Failure.data(path, "the name does not tell whether it is for \"detected\" or \"labeled\" pictures")
      }
      isLabeled = last.contains("labeled")
      let names = try file.variable("filelist")
      let labels = try file.variable("labels"), identities = try labels.integers()
      let views = try file.variable("camId"), cameras = try views.integers()
      guard identities.count == names.count, cameras.count == names.count else {
        throw names.failure("\(names.count) names, but \(identities.count) labels and \(cameras.count) cameras")
      }
      var seen: [Int: String] = [:], places: [Place: Int] = [:]
      parts = try ["train_idx", "query_idx", "gallery_idx"].map { part in
        let list = try file.variable(part), numbers = try list.integers()
        if numbers.isEmpty { throw list.failure("no picture in it") }
        return try numbers.map { number in
          guard (1...max(names.count, 1)).contains(number) else {
            throw list.failure("\(number) is none of the \(names.count) pictures")
          }
          if let other = seen[number] { throw list.failure("picture \(number) is in \(other) already") }
          seen[number] = part
          let (place, view) = try Self.place(number, names)
          let entry = Entry(
            number: number, place: place, view: view, identity: identities[number - 1], camera: cameras[number - 1])
          if let other = places[entry.place] { throw names.failure("names \(other) and \(number) are the same") }
          places[entry.place] = number
          if entry.identity < 1 { throw labels.failure("picture \(number) has identity \(entry.identity)") }
          if entry.camera < 1 { throw views.failure("picture \(number) has camera \(entry.camera)") }
          return entry
        }
      }
      // What the names say against what the tables say.
      var persons: [[Int]: Int] = [:], sides: [[Int]: Int] = [:]
      for entry in parts.joined() {
        let (place, number) = (entry.place, entry.number)
        if let other = persons.updateValue(entry.identity, forKey: [place.pair, place.person]), other != entry.identity
        {
          throw labels.failure(
            "picture \(number) has identity \(entry.identity), by its name it shows the same person as one of \(other)")
        }
        if let other = sides.updateValue(entry.camera, forKey: [place.pair, entry.view]), other != entry.camera {
          throw views.failure(
            "picture \(number) has camera \(entry.camera), by its name it has the same view as one of camera \(other)")
        }
      }
    }

    /// What `pair_person_view_number.png` says.
    private static func place(_ number: Int, _ names: MATValue) throws -> (Place, view: Int) {
      guard let name = try names.cell(number - 1)?.text() else { throw names.failure("name \(number) is missing") }
      let fields = name.prefix { $0 != "." }.split(separator: "_").map { Int($0) ?? 0 }
      guard fields.count == 4, fields.allSatisfy({ $0 > 0 }) else {
        throw names.failure("name \(number) is \"\(Printable.line(name, limit: 60))\", expected as 1_001_1_01.png")
      }
      return (Place(pair: fields[0], person: fields[1], picture: fields[3]), fields[2])
    }
  }
}
