/// The memory of one rank, in bytes.
package struct MemoryAccount: Sendable {
  /// Masters, gradients and Adam's two moments.
  package let parameters: Int
  /// Packed working weights.
  package let workingWeights: Int
  /// Activations and gradients of activations at their peak.
  package let activations: Int
  /// The workers' scratch.
  package let scratch: Int

  package init(parameters: Int, workingWeights: Int, activations: Int, scratch: Int) {
    self.parameters = parameters
    self.workingWeights = workingWeights
    self.activations = activations
    self.scratch = scratch
  }

  package var total: Int { parameters + workingWeights + activations + scratch }

  package var summary: String {
    "\(Self.format(total)) a rank: parameters and moments \(Self.format(parameters)), working weights "
      + "\(Self.format(workingWeights)), activations \(Self.format(activations)), scratch \(Self.format(scratch))"
  }

  private static func format(_ bytes: Int) -> String {
    let mebibytes = Double(bytes) / 1_048_576
    return mebibytes < 1000 ? "\(Int(mebibytes.rounded(.up))) MiB" : "\((mebibytes / 102.4).rounded() / 10) GiB"
  }
}
