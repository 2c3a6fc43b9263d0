import CKernels
import Kernels
import Tensors
import Testing

@Suite struct KernelPathTests {
  @Test func availablePathsGoFromBestToBlas() {
    let available = KernelPath.available
    #expect(available.last == .blas)
    #expect(Set(available).count == available.count)
    #expect(available == KernelPath.allCases.filter { available.contains($0) }, "best first")
  }

  @Test func theBestPathUnlessForced() throws {
    #expect(try KernelPath.choose(environment: [:]) == KernelPath.available[0])
    #expect(try KernelPath.choose(environment: ["LINEUP_KERNELS": ""]) == KernelPath.available[0])
    for path in KernelPath.available {
      #expect(try KernelPath.choose(environment: ["LINEUP_KERNELS": path.rawValue, "HOME": "/"]) == path)
    }
  }

  /// One line that names the variable, its value and what there is.
  @Test func anUnavailablePathIsAUsageError() {
    let names = KernelPath.available.map(\.rawValue).joined(separator: ", ")
    let missing = KernelPath.allCases.filter { !KernelPath.available.contains($0) }.map(\.rawValue)
    for name in missing + ["sse", "AVX2", "blas ", "avx512,blas"] {
      let error = #expect(throws: Failure.self) { try KernelPath.choose(environment: ["LINEUP_KERNELS": name]) }
      #expect(error?.kind == .usage)
      #expect(error?.message == "LINEUP_KERNELS=\(name): not available on this machine (available: \(names))")
    }
  }

  @Test(arguments: KernelPath.available) func wideElementsAreNotSplit(_ path: KernelPath) {
    #expect(Kernels<Double>(path: path).path == (path == .amx ? .avx512 : path))
    #expect(Kernels<Float>(path: path).path == (path == .amx ? .avx512 : path), "two bfloat16 do not hold a float32")
    #expect(Kernels<Float>(path: path, multiplication: .bfloat16).path == path)
    #expect(Kernels<Float16>(path: path).path == path)
  }

  @Test(arguments: KernelPath.available) func accumulatingKernelsAreExact(_ path: KernelPath) {
    let half = Kernels<Float16>(path: path, multiplication: .bfloat16)
    #expect(half.multiplication == .bfloat16 && half.accumulating.multiplication == .exact)
    #expect(half.accumulating.path == Kernels<Float>(path: path).path)
    #expect(Kernels<Double>(path: path).accumulating.path == Kernels<Double>(path: path).path)
  }

  @Test(arguments: KernelPath.available) func columnsAreFilledUpToPanels(_ path: KernelPath) {
    let kernels = Kernels<Float16>(path: path)
    for columns in [1, 15, 16, 31, 32, 33, 100, 512] {
      let width = kernels.gemm.panelWidth(columns: columns)
      let padded = kernels.gemm.padded(columns: columns)
      #expect(padded % width == 0 && padded >= columns && padded - columns < width)
      if path == .blas { #expect(width == columns && padded == columns) }
    }
    #expect(kernels.gemm.rowQuantum >= 1)
  }

  /// Operands of bfloat16 have panels of 32 columns, and runs of 32 rows; accumulators any.
  @Test(arguments: TestedGemm.all) func runsAreFilledUpToADepth(_ tested: TestedGemm) {
    let gemm = tested.gemm, isNarrow = tested.format != .wide
    for depth in [1, 31, 32, 33, 147, 512] {
      #expect(gemm.padded(depth: depth) == (isNarrow ? (depth + 31) / 32 * 32 : depth))
    }
    #expect(gemm.planes == (tested.format == .split ? 2 : 1) && gemm.elementBytes == (isNarrow ? 2 : 4))
    let rows = gemm.padded(depth: 40), bytes = gemm.padded(columns: 33) * rows * gemm.planes * gemm.elementBytes
    #expect(gemm.panelBytes(columns: 33, rows: rows) == bytes)
    #expect(gemm.panelOffset(column: gemm.padded(columns: 33), rows: rows) == bytes, "the end of the last panel")
  }

  @Test(.enabled(if: !TestedGemm.emulated.isEmpty)) func emulatedTilesHaveTheFormatsOfReal() {
    #expect(TestedGemm.emulated.map(\.format) == [.bfloat16, .split])
    #expect(TestedGemm.real.isEmpty || TestedGemm.real.map(\.format) == [.bfloat16, .split])
    #expect(Kernels<Float16>(emulatingAMX: .exact).path == .amx)
  }
}
