import Losses
import Tensors

extension GradientRegularizer {
  /// nil where `msgr.lambda` is 0.
  init?(_ msgr: Configuration.MSGR) {
    guard msgr.lambda > 0 else { return nil }
    let norm: Norm =
      switch msgr.norm {
      case .one: .one
      case .two: .two
      case .infinity: .infinity
      }
    self.init(norm: norm, places: msgr.at.map { $0 == .input ? 0 : Int($0.rawValue)! })
  }
}

extension AdaptiveL2 {
  convenience init(_ network: ParameterLayout, _ configuration: Configuration.AdaptiveL2) {
    let kinds = configuration.tensors.map { ParameterLayout.Kind(rawValue: $0.rawValue)! }
    self.init(network, kinds: Set(kinds), amplitude: configuration.amplitude, initial: configuration.initial)
  }
}
