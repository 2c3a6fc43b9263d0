import Kernels
import Tensors
import Testing

/// A GEMM to be tested, with how its operands are rounded: all that this CPU has, and those of AMX on emulated tiles.
struct TestedGemm: Sendable, CustomTestStringConvertible {
  let name: String
  let gemm: Gemm

  var testDescription: String { name }
  var format: Gemm.Format { gemm.format }

  private init<E: Element>(_ name: String, _ kernels: Kernels<E>) { (self.name, gemm) = (name, kernels.gemm) }

  /// float32 accumulators. (An exact `amx` is one of float16.)
  static let all: [TestedGemm] = {
    let paths = KernelPath.available.filter { $0 != .amx }
    let wide = paths.map { TestedGemm("\($0)", Kernels<Float>(path: $0)) }
    let dots = TestedGemm("bfloat16 dots", Kernels<Float>(path: paths[0], multiplication: .bfloat16))
    return wide + (dots.format == .bfloat16 ? [dots] : []) + emulated + real
  }()

  /// What packs for tiles is AVX-512.
  static let emulated =
    KernelPath.available.contains(.avx512)
    ? [
      TestedGemm("emulated AMX, bfloat16", Kernels<Float>(emulatingAMX: .bfloat16)),
      TestedGemm("emulated AMX, split", Kernels<Float>(emulatingAMX: .exact)),
    ] : []
  static let double = KernelPath.available.filter { $0 != .amx }.map {
    TestedGemm("\($0), float64", Kernels<Double>(path: $0))
  }

  /// In the order of `emulated`; none where there are no tiles.
  static let real =
    KernelPath.available.contains(.amx)
    ? [
      TestedGemm("AMX, bfloat16", Kernels<Float16>(path: .amx, multiplication: .bfloat16)),
      TestedGemm("AMX, split", Kernels<Float16>(path: .amx)),
    ] : []

  /// The planes of an operand: hi and lo, or the element itself and nothing.
  func planes<A: Element>(_ x: A) -> (hi: Double, lo: Double) {
    guard format != .wide else { return (Double(x), 0) }
    let hi = bfloat16(Double(x))
    return (hi, format == .split ? bfloat16(Double(x) - hi) : 0)
  }
}

/// A random product, its operands laid out as the layers do: rows are windows of one run of memory that overlap, and
/// each of `runs` (the rows of a kernel's taps) sees them a step further on, with rows of panels of its own.
struct Product<A: Element> where A.Accumulator == A {
  /// How the windows begin.
  enum Spacing { case even, scattered, evenButOne }
  typealias Size = (m: Int, n: Int, k: Int)

  let memory: Memory
  let m: Int, n: Int, k: Int, runs: Int
  let tested: TestedGemm
  let offset = 3, first: Int, depth: Int, panelRows: Int, skip: Int, ldc: Int
  /// Where windows begin.
  let starts: [Int]
  var x: [A]
  var w: [A]
  private var gemm: Gemm { tested.gemm }

  /// `integers`: of 9 bits, some of whose lo is not 0, so that all sums are exact in float32, whatever their order.
  init(
    _ size: Size, _ tested: TestedGemm, seed: UInt64 = 1, transposed: Bool = false, runs: Int = 1,
    spacing: Spacing = .even, integers: Bool = false
  ) {
    (m, n, k, self.runs, self.tested) = (size.m, size.n, size.k, runs, tested)
    let memory = Memory(seed: seed)
    let gemm = tested.gemm
    depth = transposed ? size.m : size.k
    first = transposed ? 0 : gemm.padded(depth: 2)
    panelRows = first + runs * gemm.padded(depth: depth) + gemm.padded(depth: 3)
    let step = max(1, size.k / 2)
    skip = size.k + 1
    ldc = gemm.padded(columns: size.n) + 3
    var starts = (0..<size.m).map { $0 * step }
    switch spacing {
    case .even: break
    case .scattered: starts = starts.map { _ in memory.integer(below: step * size.m) }
    case .evenButOne:
      let moved = memory.integer(below: size.m)
      starts[moved] = memory.integer(below: step * size.m)
    }
    self.starts = starts
    func values(_ count: Int) -> [A] {
      integers
        ? (0..<count).map { _ in A((256 + memory.integer(below: 256)) * (memory.integer(below: 2) == 0 ? 1 : -1)) }
        : memory.normals(count, deviation: 1)
    }
    // The last window of all ends with the memory.
    x = values(offset + (runs - 1) * skip + starts.max()! + size.k)
    w = values(runs * depth * size.n)
    self.memory = memory
  }

  /// The index in x of an element of a row, in a run.
  func at(_ r: Int, _ i: Int, run: Int = 0) -> Int { starts[r] + offset + run * skip + i }

  /// Pointers to the rows of the left matrix, elements of the format, and how far lo stands behind hi.
  private func rows() -> (pointers: UnsafeMutablePointer<UnsafeRawPointer?>, plane: Int) {
    // Reading on behind the last row is allowed (see the layers' scratch), but must not be seen.
    let slack = 16
    let base: UnsafeRawPointer
    if tested.format == .wide {
      base = UnsafeRawPointer(memory.place(x, slack: slack, filler: .nan))
    } else {
      let filler = [UInt16](repeating: 0x7fc0, count: slack)
      let planes = x.map { tested.planes($0) }
      base = UnsafeRawPointer(memory.place(planes.map { bits($0.hi) } + filler + planes.map { bits($0.lo) } + filler))
    }
    let size = gemm.elementBytes
    return (memory.place(starts.map { base + $0 * size }), (x.count + slack) * size)
  }

  /// Panels of w, NaN wherever there is none.
  private func panels() -> UnsafeMutableRawPointer {
    let width = gemm.panelWidth(columns: n)
    let nan = memory.place([UInt8](repeating: 0xff, count: gemm.panelBytes(columns: n, rows: panelRows) + 64))
    let panels = aligned(nan)
    for run in 0..<runs {
      gemm.packRows(
        memory.place(Array(w[run * depth * n..<(run + 1) * depth * n])), ld: n, depth, n, width: width,
        panelRows: panelRows, row: first + run * gemm.padded(depth: depth), into: panels)
    }
    return panels
  }

  /// As much memory as a call asks for, of NaN at first, with a guard behind.
  private func workspace(_ m: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
    let bytes = gemm.workspaceBytes(rows: m, columns: n, depth: k), guarded = 1 << 14
    let memory = aligned(memory.place([UInt8](repeating: 0xff, count: bytes + guarded + 64)))
    body(memory)
    let behind = UnsafeRawBufferPointer(start: memory + bytes, count: guarded)
    #expect(behind.allSatisfy { $0 == 0xff }, "\(tested.name): wrote behind its workspace")
  }

  private func aligned(_ p: UnsafeMutablePointer<UInt8>) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: p) + 63) / 64 * 64)!
  }

  /// Σ over runs on the given rows. c begins as `start`, its margins too, and must keep the margins.
  func multiply(rows chosen: Range<Int>, accumulate: Bool, start: A = 7) -> [A] {
    let (rows, plane) = rows()
    let panels = panels()
    let c = memory.place([A](repeating: start, count: (chosen.count + 1) * ldc))
    workspace(chosen.count) { workspace in
      for run in 0..<runs {
        gemm.multiply(
          .init(rows + chosen.lowerBound, count: chosen.count, offset: offset + run * skip, plane: plane),
          .init(panels, rows: panelRows, first: first + run * gemm.padded(depth: k)), columns: n, depth: k,
          accumulates: accumulate || run > 0, into: c, ld: ldc, workspace: workspace)
      }
    }
    for i in 0..<(chosen.count + 1) * ldc where i % ldc >= gemm.padded(columns: n) || i / ldc == chosen.count {
      #expect(c[i] == start, "\(tested.name): written outside of c")
    }
    return (0..<chosen.count).flatMap { r in (0..<n).map { c[r * ldc + $0] } }
  }

  /// c (k × n) = or += xᵀ w, with w of m rows; of the rows of c (columns of x) those chosen.
  func multiplyTransposed(columns chosen: Range<Int>? = nil, accumulate: Bool = true, start: A = 7) -> [A] {
    let (rows, plane) = rows()
    let panels = panels()
    let chosen = chosen ?? 0..<k
    let count = chosen.count
    let c = memory.place([A](repeating: start, count: (count + 1) * ldc))
    workspace(m) {
      gemm.multiplyTransposed(
        .init(rows, count: m, offset: offset + chosen.lowerBound, plane: plane), .init(panels, rows: panelRows),
        columns: n, depth: count, accumulates: accumulate, into: c, ld: ldc, workspace: $0)
    }
    for i in 0..<(count + 1) * ldc where i % ldc >= n || i / ldc == count {
      #expect(c[i] == start, "\(tested.name): written outside of c")
    }
    return (0..<count).flatMap { r in (0..<n).map { c[r * ldc + $0] } }
  }

  /// Σ and Σ|·| of the products of hi·hi, lo·hi and hi·lo, plus a start.
  func expected(transposed: Bool, start: Double) -> (values: [Double], magnitudes: [Double]) {
    let a = x.map { tested.planes($0) }
    let b = w.map { tested.planes($0) }
    let rows = transposed ? k : m
    var values = [Double](repeating: start, count: rows * n)
    var magnitudes = [Double](repeating: abs(start), count: rows * n)
    for run in 0..<runs {
      for r in 0..<rows {
        for i in 0..<depth {
          let (hi, lo) = a[transposed ? at(i, r) : at(r, i, run: run)]
          for j in 0..<n {
            let w = b[(run * depth + i) * n + j]
            values[r * n + j] += (hi + lo) * w.hi + hi * w.lo
            magnitudes[r * n + j] += abs(hi * w.hi)
          }
        }
      }
    }
    return (values, magnitudes)
  }
}
