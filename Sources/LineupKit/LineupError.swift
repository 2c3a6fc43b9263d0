import Tensors

/// Why something could not be done, in one line that names the file, key or image.
public struct LineupError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// What was asked for is wrong.
    case usage
    /// A checkpoint or an image is missing, damaged or does not fit.
    case data
    /// The system failed, or an invariant.
    case `internal`
  }

  public let kind: Kind
  public let description: String

  init(_ kind: Kind, _ description: String) { (self.kind, self.description) = (kind, description) }

  /// Every error that leaves this module is one.
  static func wrapping<T>(_ body: () throws -> T) throws(LineupError) -> T {
    do {
      return try body()
    } catch let error as LineupError {
      throw error
    } catch let failure as Failure {
      let kind: Kind =
        switch failure.kind {
        case .usage: .usage
        case .data, .diverged: .data
        default: .internal
        }
      throw LineupError(kind, failure.message)
    } catch {
      throw LineupError(.internal, "\(error)")
    }
  }
}
