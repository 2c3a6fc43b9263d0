import Foundation
import LineupKit

/// `Rank CHECKPOINT QUERY IMAGE…`: the images by their distance to the query, nearest first.
@main
struct Rank {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count > 2 else { fail("usage: Rank CHECKPOINT QUERY IMAGE…", 64) }
    do throws(LineupError) {
      try rank(checkpoint: arguments[0], query: arguments[1], Array(arguments[2...]))
    } catch {
      fail("Rank: \(error)", error.kind == .internal ? 70 : 65)
    }
  }

  private static func rank(checkpoint: String, query: String, _ images: [String]) throws(LineupError) {
    let model = try EmbeddingModel(checkpoint: checkpoint)
    let gallery = try Gallery(try model.embed(files: images), by: .cosine)
    for match in try gallery.nearest(images.count, to: try model.embed(files: [query]))[0] {
      print("\(images[match.row])  \(match.distance)")
    }
  }

  private static func fail(_ line: String, _ code: Int32) -> Never {
    FileHandle.standardError.write(Data((line + "\n").utf8))
    exit(code)
  }
}
