import Tensors

/// `optimizer.kind`: how parameters follow from gradients.
package enum OptimizerKind: PartChoice {
  package enum Kind: String, CaseIterable, Sendable {
    case adam, amsgrad, sgd

    package var meaning: String {
      switch self {
      case .adam: "Kingma and Ba, 2015, with `optimizer.decay: decoupled` AdamW"
      case .amsgrad: "Adam with the largest mean of squared gradients so far in its place (Reddi et al., 2018)"
      case .sgd: "gradient descent with momentum"
      }
    }
  }

  case adam(NoOptions), amsgrad(NoOptions), sgd(Descent)

  package init(_ kind: Kind, _ read: OptionReader) throws {
    switch kind {
    case .adam: self = .adam(try read(NoOptions.self))
    case .amsgrad: self = .amsgrad(try read(NoOptions.self))
    case .sgd: self = .sgd(try read(Descent.self))
    }
  }

  package var part: (kind: Kind, options: any Options) {
    switch self {
    case .adam(let options): (.adam, options)
    case .amsgrad(let options): (.amsgrad, options)
    case .sgd(let options): (.sgd, options)
    }
  }

  /// What is kept of past gradients, each as large as the parameters, by the prefix of its tensors' names in files.
  var moments: [String] {
    switch self {
    case .adam: ["m.", "v."]
    case .amsgrad: ["m.", "v.", "largest."]
    case .sgd(let descent): descent.momentum > 0 ? ["m."] : []
    }
  }
}

/// Gradient descent as PyTorch's `SGD` has it: m ← μm + g, w ← w − ηm, or with Nesterov's look ahead w ← w − η(g + μm).
package struct Descent: Options {
  package var momentum = 0.9
  package var nesterov = false
  package init() {}
  package static var fields: [OptionField<Self>] {
    [
      .number("momentum", \.momentum, 0...0.9999, "μ; 0 keeps no momentum."),
      .flag("nesterov", \.nesterov, "Whether it looks ahead (Nesterov); with momentum only."),
    ]
  }
}
