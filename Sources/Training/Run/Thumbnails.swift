import Dataset
import Evaluation
import TensorBoard
import Tensors

/// Small pictures of a data set's test images, their faces as `data.faces.test` has them.
struct Thumbnails {
  private let samples: [String: Sample]
  private let configuration: Configuration
  private let progress: () -> Void

  /// - Parameter progress: called after every image.
  init(_ dataset: ReIDDataset, _ configuration: Configuration, _ progress: @escaping () -> Void) {
    samples = Dictionary((dataset.query + dataset.gallery).map { ($0.path, $0) }) { first, _ in first }
    (self.configuration, self.progress) = (configuration, progress)
  }

  /// As wide as the network's input at this height.
  private func width(at height: Int) -> Int {
    max(1, height * configuration.input.width / configuration.input.height)
  }

  /// Pixels [height][width][3]; nil of an image that cannot be read.
  private func pixels(_ path: String, width: Int, height: Int) -> [UInt8]? {
    defer { progress() }
    var transforms = Transforms(height: height, width: width)
    transforms.faces = configuration.data.faces.test
    return samples[path].flatMap { try? transforms.evaluation(of: [$0]) }
  }

  /// A row a query: the query, framed dark, and what comes first for it, framed green where it is of the same identity and
  /// dashed orange where it is not. Nil where there are no lists.
  func ranked(_ lists: [RankedList], _ query: LabelledFeatures, _ gallery: LabelledFeatures) -> Mosaic? {
    guard let longest = lists.map(\.images.count).max() else { return nil }
    let height = 96, width = min(width(at: height), 2 * height)
    var mosaic = Mosaic(columns: 1 + longest, rows: lists.count, width: width, height: height, border: 4)
    func put(_ path: String, _ place: Int, _ frame: Mosaic.Frame) {
      if let pixels = pixels(path, width: width, height: height) { mosaic.put(pixels, at: place, frame: frame) }
    }
    for (row, list) in lists.enumerated() {
      let start = row * (1 + longest)
      put(query.paths[list.query], start, .init(red: 40, green: 40, blue: 40))
      for (index, image) in list.images.enumerated() {
        let frame: Mosaic.Frame =
          image.isMatch
          ? .init(red: 0, green: 158, blue: 115) : .init(red: 213, green: 94, blue: 0, isDashed: true)
        put(gallery.paths[image.row], start + 1 + index, frame)
      }
    }
    return mosaic
  }

  /// All of `images` in a square of thumbnails, squares too, which is what the projector makes of them; nil where there are none.
  func sprite(_ images: [String]) throws -> ProjectorFolder.Sprite? {
    guard !images.isEmpty else { return nil }
    let height = 48, side = ProjectorFolder.Sprite.side(of: images.count), width = min(width(at: height), height)
    var mosaic = Mosaic(columns: side, rows: side, width: height, height: height, border: 0)
    let left = (height - width) / 2
    for (place, image) in images.enumerated() {
      guard let pixels = pixels(image, width: width, height: height) else { continue }
      mosaic.put(pixels, at: place, width: width, left: left)
    }
    return .init(png: try ImageCodec.encodePNG(mosaic.image, path: "sprite"), width: height, height: height)
  }
}
