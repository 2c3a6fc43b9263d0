import Storage
import Tensors

/// The images of a folder.
enum ImageFolder {
  /// The names of the JPEG and PNG files in `folder`, sorted. Hidden files and files of other kinds are passed over; images
  /// that cannot be read here (WebP, …) are an error rather than silently missing.
  static func names(in folder: String) throws -> [String] {
    guard InputFile.isFolder(folder) else {
      throw Failure.data(folder, FileIdentity(folder) == nil ? "no such folder" : "is a file, expected a folder")
    }
    let all: [String]
    do {
      all = try Folder.names(in: folder)
    } catch {
      throw Failure.data(folder, "the folder cannot be read")
    }
    var names: [String] = []
    for name in all where !name.hasPrefix(".") {
      switch ending(of: name) {
      case "jpg", "jpeg", "png": names.append(name)
      case "bmp", "gif", "tif", "tiff", "webp":
        throw Failure.data(joinPath(folder, name), "only JPEG and PNG images (*.jpg, *.jpeg, *.png) are read")
      default: break
      }
    }
    if names.isEmpty { throw Failure.data(folder, "no image (*.jpg, *.png) in it") }
    return names.sorted()
  }

  /// What follows the last dot, in small letters; all of a name without one.
  private static func ending(of name: String) -> String {
    let bytes = name.utf8
    let start = bytes.lastIndex(of: UInt8(ascii: ".")).map { bytes.index(after: $0) } ?? bytes.startIndex
    return name[start...].lowercased()
  }

  /// The folders in `folder`, sorted; hidden ones do not count.
  static func folders(in folder: String) -> [String] {
    let names = (try? Folder.names(in: folder)) ?? []
    return names.filter { !$0.hasPrefix(".") && InputFile.isFolder(joinPath(folder, $0)) }.sorted()
  }
}

/// `folder/name`; an absolute `name` stays as it is, an empty one is the folder.
func joinPath(_ folder: String, _ name: String) -> String {
  if name.isEmpty { return folder }
  if name.hasPrefix("/") || folder.isEmpty { return name }
  return folder.hasSuffix("/") ? folder + name : folder + "/" + name
}
