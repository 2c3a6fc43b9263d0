import Storage
import Tensors

/// What the rows of a user's CSV file are for, as its columns `split`, `is_query` and `is_gallery` say.
struct OwnRoles {
  /// What the images that are tested on are called.
  private static let tests = ["test", "val", "valid", "validation"]

  private let table: CSVTable
  private let split: Int?, isQuery: Int?, isGallery: Int?

  /// - Throws: `Failure.data` with file and line where the file has both images for test and for validation.
  init(_ table: CSVTable) throws {
    self.table = table
    split = try table.firstColumn(["split"])
    isQuery = try table.firstColumn(["is_query"])
    isGallery = try table.firstColumn(["is_gallery"])
    guard let split else { return }
    var isTest: Bool?
    for row in 0..<table.count {
      let word = try table.text(row, split).trimmed.lowercased()
      guard Self.tests.contains(word) else { continue }
      if let isTest, isTest != (word == "test") {
        throw table.failure(row, "both test and validation images are listed; expected one of them to be tested on")
      }
      isTest = word == "test"
    }
  }

  /// - Throws: `Failure.data` with file and line where a field says something else.
  func role(of row: Int) throws -> Role {
    let isQuery = try flag(row, isQuery), isGallery = try flag(row, isGallery)
    let told: Role? =
      self.isQuery == nil && self.isGallery == nil
      ? nil : isQuery ? isGallery ? .both : .query : isGallery ? .gallery : nil
    guard let split else {
      // With queries alone told, the others are not known to be trained on.
      return self.isQuery == nil && self.isGallery == nil ? .any : told ?? .train
    }
    let word = try table.text(row, split).trimmed
    switch word.lowercased() {
    case "train": return .train
    case "query": return .query
    case "gallery": return .gallery
    case let test where Self.tests.contains(test): return told ?? .test
    default:
      let shown = Printable.line(word, limit: 60)
      throw table.failure(row, "split is \"\(shown)\", expected train, query, gallery or test")
    }
  }

  /// For the name of the data set.
  func remark(_ random: RandomSplit) -> String {
    split == nil && isQuery == nil && isGallery == nil ? ", split \(random.number) by identity" : ""
  }

  private func flag(_ row: Int, _ column: Int?) throws -> Bool {
    guard let column else { return false }
    let text = try table.text(row, column).trimmed
    switch text.lowercased() {
    case "true", "1", "1.0", "yes": return true
    case "false", "0", "0.0", "no", "", "none", "nan": return false
    default:
      let shown = Printable.line(text, limit: 60)
      throw table.failure(row, "\(table.header[column]) is \"\(shown)\", expected true or false")
    }
  }
}
