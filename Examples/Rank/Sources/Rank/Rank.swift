import LineupKit

/// `Rank CHECKPOINT QUERY IMAGE…`: the images by their distance to the query, nearest first.
@main
struct Rank {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let checkpoint = arguments.first, let query = arguments.dropFirst().first, arguments.count > 2 else {
      print("usage: Rank CHECKPOINT QUERY IMAGE…")
      return
    }
    let images = Array(arguments.dropFirst(2)), model = try EmbeddingModel(checkpoint: checkpoint)
    let gallery = try Gallery(try model.embed(files: images), by: .cosine)
    for match in try gallery.nearest(images.count, to: try model.embed(files: [query]))[0] {
      print("\(images[match.row])  \(match.distance)")
    }
  }
}
