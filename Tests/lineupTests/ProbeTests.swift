import Foundation
import Kernels
import Storage
import Testing
import Training

extension CommandTests {
  /// `lineup probe`: the files of contract 7, and that neither ranks nor kernels change what is computed.
  @Suite(.serialized) struct ProbeTests {
    private let scratch: Scratch, list: String, weights: String
    /// Seven images: no number of ranks but 1 and 7 shares them out evenly.
    private static let images = 7, identities = 4

    init() throws {
      scratch = try Scratch()
      list = try scratch.list(try scratch.dataset(), count: Self.images)
      weights = scratch("weights.safetensors")
      try Command.succeed(
        ["probe", "--initialize", weights, "--identities", "\(Self.identities)"] + Tiny.network)
    }

    private func probe(
      _ storage: String, ranks: Int? = nil, kernels: String? = nil, name: String? = nil, images: String? = nil
    ) throws -> String {
      let output = scratch(name ?? "\(storage)-\(ranks ?? 0)-\(kernels ?? "").safetensors")
      try Command.succeed(
        ["probe", "--weights", weights, "--images", images ?? list, "--output", output] + Tiny.network
          + Tiny.settings("precision.storage=\(storage)"),
        ranks: ranks, environment: kernels.map { ["LINEUP_KERNELS": $0] } ?? [:])
      return output
    }

    /// What a tensor is, by its name: each kind has a pass of its own that could be wrong on its own.
    private static func kind(_ name: String) -> String {
      if name.hasPrefix("gradient.classifier") || name.hasPrefix("gradient.neck") { return "neck" }
      if name.hasPrefix("gradient.pyramid") { return "pyramid" }
      if name.hasPrefix("gradient.fusion.conv") { return "fusion" }
      if name.contains("bn") || name.contains("downsample.1") { return name.hasSuffix("weight") ? "scale" : "shift" }
      return name.hasPrefix("gradient.") ? "convolution" : name
    }

    @Test(arguments: [("float64", 1e-10), ("float32", 1e-4), ("float16", 1e-4)])
    func ranksAgree(_ storage: String, _ tolerance: Double) throws {
      let one = try TensorFile(try probe(storage))
      #expect(one.isFinite)
      let kinds = Set(one.values.keys.map(Self.kind))
      #expect(kinds.count == 12)  // six kinds of gradients and six results
      for ranks in 1...4 {
        let many = try TensorFile(try probe(storage, ranks: ranks))
        let whole = many.distance(from: one) { $0.hasPrefix("gradient.") }
        #expect(whole <= tolerance, "\(ranks) ranks, whole gradient")
        for kind in kinds {
          #expect(many.distance(from: one) { Self.kind($0) == kind } <= tolerance, "\(ranks) ranks, \(kind)")
        }
      }
    }

    /// The comparison above means something: another image gives another gradient.
    @Test func anotherImageIsSeen() throws {
      let one = try TensorFile(try probe("float64"), prefix: "gradient.")
      let text = try scratch.text("list.csv").split(separator: "\n").map(String.init)
      let paths = text.map { String($0.prefix { $0 != "," }) }
      let first = text[1].replacingOccurrences(of: paths[1], with: paths[7])
      let changed = ([text[0], first] + text[2...]).joined(separator: "\n")
      try (changed + "\n").write(toFile: scratch("other.csv"), atomically: false, encoding: .utf8)
      let two = try TensorFile(try probe("float64", name: "other", images: scratch("other.csv")), prefix: "gradient.")
      #expect(two.distance(from: one) > 1e-3)
    }

    @Test(arguments: ["float64", "float32", "float16"]) func theFileHasAllThatIsPromised(_ storage: String) throws {
      let file = try SafetensorsFile(path: try probe(storage, ranks: 2))
      let network = try SafetensorsFile(path: weights)
      let parameters = network.names.filter { !$0.contains("running_") }
      #expect(
        file.names
          == (["embedding", "logits"] + ["total", "crossEntropy", "triplet", "msgr"].map { "loss.\($0)" }
          + parameters.map { "gradient.\($0)" }).sorted())
      #expect(try file.shape("embedding") == [Self.images, 32])
      #expect(try file.shape("logits") == [Self.images, Self.identities])
      for name in parameters { #expect(try file.shape("gradient.\(name)") == network.shape(name), "\(name)") }
      #expect(try network.shape("conv1.weight") == [4, 3, 7, 7])
      #expect(try file.dtype("gradient.conv1.weight") == (storage == "float64" ? .float64 : .float32))
      let loss = try ["total", "crossEntropy", "triplet", "msgr"].map { name in
        #expect(try file.shape("loss.\(name)") == [1])
        return try file.values("loss.\(name)", as: Double.self)[0]
      }
      #expect(abs(loss[0] - loss[1] - loss[2]) <= 1e-6 * loss[0] && loss[1] > 0 && loss[2] > 0 && loss[3] == 0)
      // The logits are the classifier's of the embedding, so rows stand in the order of the list.
      let embedding = try file.values("embedding", as: Double.self), logits = try file.values("logits", as: Double.self)
      let matrix = try network.values("classifier.weight", as: Double.self)
      let bias = try network.values("classifier.bias", as: Double.self)
      for row in 0..<Self.images {
        for column in 0..<Self.identities {
          let product = (0..<32).reduce(bias[column]) { $0 + embedding[row * 32 + $1] * matrix[column * 32 + $1] }
          #expect(abs(product - logits[row * Self.identities + column]) <= 1e-5 * (1 + abs(product)))
        }
      }
    }

    @Test func initializationIsTheSameAgainAndFollowsTheSeed() throws {
      for (name, seed) in [("again", 1), ("other", 2)] {
        try Command.succeed(
          ["probe", "--initialize", scratch(name), "--identities", "\(Self.identities)"] + Tiny.network
            + Tiny.settings("seed=\(seed)"), ranks: 2)
      }
      let bytes = try Data(contentsOf: URL(fileURLWithPath: weights))
      #expect(try Data(contentsOf: URL(fileURLWithPath: scratch("again"))) == bytes)
      let first = try TensorFile(weights, without: "bn"), other = try TensorFile(scratch("other"), without: "bn")
      #expect(other.distance(from: first) > 0.1)
    }

    /// float64 has one path. A fresh narrow network, seven images in its batch norms, multiplies what rounding begins
    /// some two thousand times on the way to the embedding (float32: 1.3e-4), and gates that open or close add to it
    /// in the gradient. A path must not be farther from float64 than that.
    @Test(arguments: KernelPath.available.map(\.rawValue)) func kernelsAgree(_ path: String) throws {
      let exact = try TensorFile(try probe("float64"))
      #expect(try TensorFile(try probe("float64", kernels: path)).distance(from: exact) <= 1e-12)
      let single = try TensorFile(try probe("float32", kernels: path))
      #expect(single.distance(from: exact) { $0.hasPrefix("loss.") } <= 1e-4)
      #expect(single.distance(from: exact) { $0 == "embedding" } <= 1e-3)
      #expect(single.distance(from: exact) { $0.hasPrefix("gradient.") } <= 0.05)
      let half = try TensorFile(try probe("float16", kernels: path))
      #expect(half.isFinite && half.distance(from: exact) { $0.hasPrefix("loss.") } <= 0.1)
      #expect(half.distance(from: exact) { $0 == "embedding" } <= 0.4)
    }

    @Test(arguments: [nil, 2] as [Int?]) func unknownKernelsAreRefused(_ ranks: Int?) throws {
      let outcome = try Command.run(
        ["probe", "--weights", weights, "--images", list, "--output", scratch("x")] + Tiny.network, ranks: ranks,
        environment: ["LINEUP_KERNELS": "abacus"])
      #expect(outcome.code == 64 && outcome.complaints.count == 1, "\(outcome.complaints)")
      #expect(outcome.complaints.first?.contains("LINEUP_KERNELS=abacus") == true)
    }
  }
}
