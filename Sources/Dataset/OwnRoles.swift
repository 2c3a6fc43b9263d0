import Storage
import Tensors

/// What the rows of a user's CSV file are for, as its columns `split`, `is_query` and `is_gallery` say.
struct OwnRoles {
  /// What the images that are tested on are called.
  private static let tests = ["test", "val", "valid", "validation"]

  private let table: CSVTable
  private let split: Int?, isQuery: Int?, isGallery: Int?

  /// - Throws: `Failure.data` with file and line where the file has both images for test and for validation, and where it has
  ///   one of `is_query` and `is_gallery` alone, which leaves open what is trained on.
  init(_ table: CSVTable) throws {
    self.table = table
    split = try table.firstColumn(["split"])
    isQuery = try table.firstColumn(["is_query"])
    isGallery = try table.firstColumn(["is_gallery"])
    if isQuery != nil { _ = try table.requiredColumn(["is_gallery"]) }
    if isGallery != nil { _ = try table.requiredColumn(["is_query"]) }
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

  /// - Throws: `Failure.data` with file and line where a field says something else, or columns contradict one another.
  func role(of row: Int) throws -> Role {
    let told = try told(row)
    guard let split else { return told ?? (isQuery == nil ? .any : .train) }
    let word = try table.text(row, split).trimmed, role: Role
    switch word.lowercased() {
    case "train": role = .train
    case "query": role = .query
    case "gallery", "database": role = .gallery
    case let test where Self.tests.contains(test):
      if isQuery == nil { return .test }
      if let told { return told }
      throw table.failure(row, "the image is for \(test), but neither is_query nor is_gallery")
    default:
      let shown = Printable.line(word, limit: 60)
      throw table.failure(row, "split is \"\(shown)\", expected train, query, gallery or test")
    }
    if let told, told != role {
      throw table.failure(row, "split is \(role.rawValue), but is_query and is_gallery say \(told.rawValue)")
    }
    return role
  }

  /// What `is_query` and `is_gallery` say; nil for neither.
  private func told(_ row: Int) throws -> Role? {
    guard let isQuery, let isGallery else { return nil }
    return switch (try flag(row, isQuery), try flag(row, isGallery)) {
    case (true, true): .both
    case (true, false): .query
    case (false, true): .gallery
    case (false, false): nil
    }
  }

  /// For the name of the data set.
  func remark(_ random: RandomSplit) -> String {
    split == nil && isQuery == nil ? ", split \(random.number) by identity" : ""
  }

  private func flag(_ row: Int, _ column: Int) throws -> Bool {
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
