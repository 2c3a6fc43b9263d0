import Layers
import Tensors

/// `model.pyramid`: what gates what in the pyramid.
package enum PyramidChoice: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case plain, pam, darn

    package var meaning: String {
      switch self {
      case .plain: "nothing, as in the paper"
      case .pam: "channels of each stage's output by the means of all of them, in front of the pyramid"
      case .darn: "channels of a stage's part by the mean of the level above, pixels of that level's part by the stage"
      }
    }
  }

  case plain(NoOptions), pam(ReductionOptions), darn(ReductionOptions)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .plain: self = .plain(try read(NoOptions.self))
    case .pam: self = .pam(try read(ReductionOptions.self))
    case .darn: self = .darn(try read(ReductionOptions.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .plain(let options): (.plain, options)
    case .pam(let options): (.pam, options)
    case .darn(let options): (.darn, options)
    }
  }
}
