/// Makes a reader read.
protocol FuzzReader {
  /// Reads everything that can be read from an input, and checks what was accepted.
  func read(_ bytes: [UInt8]) throws
}

/// Something that no input may lead to.
package struct FuzzFinding: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }

  /// An accepted input has this property, or it is a finding.
  static func require(_ holds: Bool, _ otherwise: @autoclosure () -> String) throws {
    if !holds { throw FuzzFinding(otherwise()) }
  }
}
