/// The nearest of known names to one that was mistyped.
package enum Spelling {
  /// The key or section that `path` was probably meant to be: all of it mistyped, or its last part, perhaps in another
  /// section. nil where nothing is near.
  ///
  /// Distances are Levenshtein's, without regard to case; a wrong section counts as one letter.
  package static func nearest(key path: String, among known: [String]) -> String? {
    guard path.utf8.count <= 100 else { return nil }
    let (section, name) = parts(path)
    var nearest: (path: String, distance: Int)?
    for other in known {
      let (otherSection, otherName) = parts(other)
      let last = distance(name, otherName)
      var candidates: [Int] = []
      if section == otherSection {
        if last <= max(1, name.count / 2) && last < name.count { candidates.append(last) }
      } else {
        let whole = distance(path, other)
        if whole <= 1 + path.count / 4 { candidates.append(whole) }
        if last <= max(1, name.count / 3) && last < name.count { candidates.append(last + 1) }
      }
      guard let least = candidates.min(), least < nearest?.distance ?? .max else { continue }
      nearest = (other, least)
    }
    return nearest?.path
  }

  /// The word that `word` was probably meant to be: the only one that it begins, or the nearest; nil where none is near, or
  /// two are.
  static func nearest(word: String, among known: [String]) -> String? {
    guard word.utf8.count <= 100 else { return nil }
    let begun = known.filter { $0.hasPrefix(word.lowercased()) }
    if begun.count == 1, word.count > 1 { return begun[0] }
    let near = known.map { (word: $0, distance: distance(word, $0)) }
      .filter { $0.distance <= max(1, word.count / 3) && $0.distance < word.count }
    guard let least = near.map(\.distance).min() else { return nil }
    let nearest = near.filter { $0.distance == least }
    return nearest.count == 1 ? nearest[0].word : nil
  }

  private static func parts(_ path: String) -> (section: Substring, name: String) {
    guard let dot = path.lastIndex(of: ".") else { return ("", path) }
    return (path[..<dot], String(path[path.index(after: dot)...]))
  }

  /// The fewest insertions, deletions and replacements of characters.
  private static func distance(_ a: String, _ b: String) -> Int {
    let a = a.lowercased(), b = Array(b.lowercased())
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let replaced = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
      }
    }
    return row[b.count]
  }
}
