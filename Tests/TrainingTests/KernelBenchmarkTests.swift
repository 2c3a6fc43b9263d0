import Collectives
import Kernels
import Network
import Tensors
import Testing
import Training

@Suite struct KernelBenchmarkTests {
  private func configuration(_ settings: [String] = []) throws -> Configuration {
    try Configuration.resolve(
      settings: [
        "model.width=0.0625", "model.embedding=16", "input.height=64", "input.width=32",
        "threads=2",
        "sampling.identities=2", "sampling.images=2",
      ] + settings)
  }

  /// Every convolution of a step is in the list as often as the step runs it: their passes come to what a rehearsed step
  /// multiplies, but for the linear layers.
  @Test(
    arguments: [
      [], ["model.head=baseline"], ["model.sharedPyramid=false"], ["model.stages=[2,4]"],
      ["model.lateral=false"],
      ["model.topDown=false"],
      ["model.lateral=false", "model.topDown=false", "model.fusion=false"],
      ["model.fusion=false"], ["model.lastStride=1"], ["input.height=96"],
    ]
  ) func theListIsAStep(_ settings: [String]) throws {
    let configuration = try configuration(settings + ["precision.convolution=direct"])
    let images = 4
    let identities = 3
    let network = ReIDNetwork<Float16>(Architecture(configuration.model, identities: identities))
    let convolutions = try network.convolutions(
      height: configuration.input.height, width: configuration.input.width)
    func multiplyAdds(_ convolution: CountedConvolution) -> Int {
      let shape = convolution.shape
      let outputs = ((shape.height - 1) / shape.stride + 1) * ((shape.width - 1) / shape.stride + 1)
      return images * convolution.count * outputs * shape.outputs * shape.inputs * shape.kernel
        * shape.kernel
    }
    let machine = try Machine(SoloCommunicator(), threads: 1)
    let step = try Rehearsal.step(
      Float16.self, images: images, identities: identities, configuration, machine)
    let all = convolutions.reduce(0) { $0 + multiplyAdds($1) }
    let withData = convolutions.filter { !$0.shape.readsImages }.reduce(0) { $0 + multiplyAdds($1) }
    let linear = images * network.layout.slots.filter { $0.kind == .linear }.reduce(0) { $0 + $1.count }
    #expect(step.performed == step.multiplyAdds)
    #expect(step.multiplyAdds[.forward] == all + linear)
    #expect(step.multiplyAdds[.backwardData] == withData + linear)
    #expect(step.multiplyAdds[.backwardWeights] == all + linear)
    #expect(Set(convolutions.map(\.shape)).count == convolutions.count)
    #expect(convolutions.filter(\.shape.readsImages).map(\.count) == [1])
  }

  /// ResNet-50's convolutions, and MSFL's, by number.
  @Test func theFullNetwork() throws {
    func convolutions(_ head: String) throws -> [CountedConvolution] {
      let model = try Configuration.resolve(settings: ["model.head=\(head)"]).model
      return try ReIDNetwork<Float16>(Architecture(model, identities: 1)).convolutions(
        height: 256, width: 128)
    }
    let baseline = try convolutions("baseline")
    let msfl = try convolutions("msfl")
    #expect(baseline.reduce(0) { $0 + $1.count } == 53)
    // and four laterals, three smoothings, six bottlenecks
    #expect(msfl.reduce(0) { $0 + $1.count } == 53 + 4 + 3 + 18)
    let stem = try #require(msfl.first { $0.shape.readsImages }?.shape)
    #expect(stem.description == "256×128  3 → 64  7×7 /2")
    // 64 → 256: the last of three bottlenecks and the downsampling of the first
    let expand = msfl.first { $0.shape.description == "64×32  64 → 256  1×1" }
    #expect(expand?.count == 4)
  }

  private func measure<E: Element>(_: E.Type, _ settings: [String]) throws -> KernelReport {
    let configuration = try configuration(settings)
    let machine = try Machine(SoloCommunicator(), threads: configuration.threads)
    let benchmark = try KernelBenchmark<E>(configuration, machine, repetitions: 2)
    return benchmark.report(try benchmark.convolutions.map(benchmark.measure))
  }

  private func check(_ report: KernelReport) {
    #expect(report.cores == 2 && report.images == 4)
    for value in [report.peaks.float32, report.peaks.bfloat16 ?? 1, report.peaks.copy] {
      #expect(value > 0 && value.isFinite)
    }
    for convolution in report.convolutions {
      #expect((convolution.backwardData == nil) == convolution.shape.readsImages)
    }
    let total = report.total
    let rates =
      report.convolutions.flatMap(\.passes) + [
        total.forward, total.backwardData, total.backwardWeights, total.all,
      ]
    for rate in rates {
      #expect(rate.multiplyAdds > 0)
      for value in [rate.seconds, rate.gflops, rate.share] {
        #expect(value > 0 && value.isFinite, "\(rate)")
      }
    }
    // Totals are sums over the network, and a rate is work by time.
    let forward = report.convolutions.reduce(0) { $0 + Double($1.count) * $1.forward.seconds }
    #expect(abs(total.forward.seconds - forward) < 1e-9 * forward)
    #expect(
      total.all.multiplyAdds
        == total.forward.multiplyAdds + total.backwardData.multiplyAdds
        + total.backwardWeights.multiplyAdds)
    #expect(
      abs(total.all.gflops * 1e9 * total.all.seconds / Double(2 * total.all.multiplyAdds) - 1)
        < 1e-9)
  }

  @Test func everythingIsMeasured() throws {
    check(try measure(Float16.self, ["precision.multiply=exact"]))
    check(try measure(Float16.self, ["precision.multiply=bfloat16"]))
    let winograd = try measure(Float16.self, ["precision.convolution=winograd"])
    check(winograd)
    var filtered = 0
    for row in winograd.convolutions {
      let shape = row.shape, isFiltered = shape.kernel == 3 && shape.stride == 1
      // Tiles of 4×4 that cover the map, 36 products each.
      let tiles = ((shape.height + 3) / 4) * ((shape.width + 3) / 4), all = row.forward.multiplyAdds
      let performed = isFiltered ? 36 * tiles * shape.inputs * shape.outputs * winograd.images : all
      #expect(row.passes.allSatisfy { $0.multiplyAdds == all && $0.performed == performed }, "\(shape)")
      filtered += isFiltered ? 1 : 0
    }
    #expect(filtered > 1 && winograd.total.all.performed < winograd.total.all.multiplyAdds)
    check(try measure(Float.self, ["precision.storage=float32"]))
  }

  @Test func doubleIsRefused() throws {
    let error = #expect(throws: Failure.self) {
      try measure(Double.self, ["precision.storage=float64"])
    }
    #expect(error?.kind == .usage && error?.message.contains("precision.storage") == true)
  }

  /// What a path is held against: its own instructions; on AMX an exact product is three.
  @Test func thePeakIsThatOfThePath() throws {
    let peaks = Peaks(float32: 100, bfloat16: 600, copy: 1)
    let without = Peaks(float32: 100, bfloat16: nil, copy: 1)
    for path in [KernelPath.avx512, .avx2, .blas] { #expect(peaks.peak(path, .exact) == 100) }
    #expect(peaks.peak(.avx512, .bfloat16) == 600 && peaks.peak(.amx, .bfloat16) == 600)
    #expect(peaks.peak(.amx, .exact) == 200)
    #expect(peaks.peak(.blas, .bfloat16) == 100 && without.peak(.avx512, .bfloat16) == 100)
  }

  @Test(arguments: KernelPath.available) func everyPathHasAPeak(_ path: KernelPath) {
    let peaks = Peaks.measure(path, Workers(count: 2))
    #expect(peaks.float32 > 0 && peaks.float32.isFinite && peaks.copy > 0)
    #expect(path != .amx || peaks.bfloat16 != nil)
  }
}
