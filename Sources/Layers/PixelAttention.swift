import Kernels
import Tensors

/// What of the norms a pixel's likeness to another is made of (`PixelAttention`).
package enum PixelLikeness: Sendable { case product, decoupled(norms: Bool) }

/// Self-attention over the N pixels of an image, what it adds to a map:
///
///     o = γ·P·v,  P = softmax of each row of S, N×N
///     position   S = q·kᵀ                                        (SCAN's position attention, after Zhang et al., SAGAN, 2019)
///     decoupled  S_ij = a·cos(q_i, k_j) + b·‖k_j‖/m(‖k‖)          (Decoupled Self-Attention, ICPR 2020; reconstructed from the abstract)
///
///     v̄ = γPᵀō,  P̄ = γōvᵀ,  S̄ = P∘(P̄ − rowsum(P̄∘P)),  γ̄ = Σ ō∘Pv
///     position   q̄ = S̄k,  k̄ = S̄ᵀq
///     decoupled  through unit vectors: with q̂, k̂ and norms n, r = n/m(n), t_j = Σ_i S̄_ij
///                q̂̄ = aS̄k̂,  k̂̄ = aS̄ᵀq̂,  ā = Σ S̄∘q̂k̂ᵀ,  b̄ = Σ t∘r,  n̄ = b(t − m(t∘r))/m(n),  k̄ = (k̂̄ − k̂(k̂·k̂̄) + n̄k)/n
///
/// In a dot product ‖q‖‖k‖cos the norms drown the angle; what a softmax keeps of ‖q_i‖ is nothing but a temperature, so the key's
/// norm alone has a term of its own, and a and b are trained. Norms are √(‖·‖² + 10⁻¹²).
struct PixelAttention: ImageAttention {
  let likeness: PixelLikeness

  /// q, k, v: N × d, N × d, N × c; scalars: γ, then a and b where there are.
  func forward(_ maps: [DualMatrix], _ scalars: [Double], by gemm: Gemm) -> DualMatrix {
    let p = DualMatrix.mapRows([logits(maps, scalars, by: gemm).s], by: SoftmaxRows())
    return DualMatrix.product(p, maps[2], by: gemm).scaled(by: scalars[0])
  }

  func largestMatrix(_ shape: Shape) -> Int { shape.area * shape.area }

  func express(_ maps: [InferenceGraph.Value], _ scalars: [Double], in graph: InferenceGraph) -> InferenceGraph.Value {
    let p = graph.softmax(expressedLogits(maps[0], maps[1], scalars, in: graph))
    return graph.with(scalars[0], "Mul", graph.matrixProduct(maps[2], graph.transposed(p)))
  }

  /// S from q and k, d × N.
  private func expressedLogits(
    _ q: InferenceGraph.Value, _ k: InferenceGraph.Value, _ scalars: [Double], in graph: InferenceGraph
  ) -> InferenceGraph.Value {
    guard case .decoupled(let norms) = likeness else { return graph.matrixProduct(graph.transposed(q), k) }
    let norm = graph.lengths(k), unit = graph.quotient(q, graph.lengths(q))
    let cosines = graph.matrixProduct(graph.transposed(unit), graph.quotient(k, norm))
    let angles = graph.with(scalars[1], "Mul", cosines)
    guard norms else { return angles }
    return graph.sum(angles, graph.with(scalars[2], "Mul", graph.quotient(norm, graph.rowMean(norm))))
  }

  func backward(_ maps: [DualMatrix], _ scalars: [Double], _ bar: DualMatrix, by gemm: Gemm) -> (
    maps: [DualMatrix], scalars: [Dual]
  ) {
    let (q, k, v) = (maps[0], maps[1], maps[2]), scaled = bar.scaled(by: scalars[0])
    let logits = logits(maps, scalars, by: gemm), p = DualMatrix.mapRows([logits.s], by: SoftmaxRows())
    let vBar = DualMatrix.product(p.transposed, scaled, by: gemm)
    let pBar = DualMatrix.product(scaled, v.transposed, by: gemm)
    let sBar = DualMatrix.mapRows([pBar, p], by: SoftmaxBars())
    let gammaBar = DualMatrix.dot(bar, .product(p, v, by: gemm))
    guard let parts = logits.parts else {
      return (
        [.product(sBar, k, by: gemm), .product(sBar.transposed, q, by: gemm), vBar], [gammaBar]
      )
    }
    let a = scalars[1], ones = DualMatrix(.constant(1, rows: 1, columns: q.rows))
    let qBar = DualMatrix.mapRows(
      [DualMatrix.product(sBar, parts.keys, by: gemm).scaled(by: a), q], by: UnitRowBars())
    let unitBar = DualMatrix.product(sBar.transposed, parts.queries, by: gemm).scaled(by: a)
    let aBar = DualMatrix.dot(sBar, parts.cosines)
    guard case .decoupled(norms: true) = likeness else {
      return ([qBar, DualMatrix.mapRows([unitBar, k], by: UnitRowBars()), vBar], [gammaBar, aBar])
    }
    let t = DualMatrix.product(ones, sBar, by: gemm)
    let nBar = DualMatrix.mapRows([t.scaled(by: scalars[2]), parts.norms], by: MeanQuotientBars())
    let kBar = DualMatrix.mapRows([unitBar, k, nBar.transposed], by: UnitRowBars())
    return (
      [qBar, kBar, vBar],
      [gammaBar, aBar, DualMatrix.dot(t, DualMatrix.mapRows([parts.norms], by: MeanQuotient()))]
    )
  }

  /// Of the decoupled scores: q̂, k̂, their products, and the keys' norms as a row.
  private typealias Parts = (queries: DualMatrix, keys: DualMatrix, cosines: DualMatrix, norms: DualMatrix)

  private func logits(_ maps: [DualMatrix], _ scalars: [Double], by gemm: Gemm) -> (s: DualMatrix, parts: Parts?) {
    let (q, k) = (maps[0], maps[1])
    guard case .decoupled(let norms) = likeness else { return (.product(q, k.transposed, by: gemm), nil) }
    let queries = DualMatrix.mapRows([q], by: UnitRow()), keys = DualMatrix.mapRows([k], by: UnitRow())
    let cosines = DualMatrix.product(queries, keys.transposed, by: gemm)
    let lengths = DualMatrix.mapRows([k], by: RowLength()).transposed
    let parts = (queries, keys, cosines, lengths)
    guard norms else { return (cosines.scaled(by: scalars[1]), parts) }
    let ones = DualMatrix(.constant(1, rows: q.rows, columns: 1))
    let shares = DualMatrix.product(ones, DualMatrix.mapRows([lengths], by: MeanQuotient()), by: gemm)
    return (DualMatrix.mapRows([cosines, shares], by: Combination(scalars[1], scalars[2])), parts)
  }
}

private func length<S: RealNumber>(_ row: [S]) -> S {
  var square = S(1e-12)
  for x in row { square += x * x }
  return square.squareRoot()
}

private struct RowLength: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] { [length(rows[0])] }
}

private struct UnitRow: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    let inverse = S(1) / length(rows[0])
    return rows[0].map { $0 * inverse }
  }
}

/// (ḡ − û(û·ḡ) + n̄u)/n from ḡ, u and n̄ (none: 0).
private struct UnitRowBars: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    let inverse = S(1) / length(rows[1]), lengthBar = rows.count > 2 ? rows[2][0] : S(0)
    var along = S(0)
    for (bar, u) in zip(rows[0], rows[1]) { along += bar * u * inverse }
    return zip(rows[0], rows[1]).map { ($0 + ($1 * (lengthBar - along * inverse))) * inverse }
  }
}

/// n/m(n)
private struct MeanQuotient: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    let inverse = S(Double(rows[0].count)) / rows[0].reduce(S(0), +)
    return rows[0].map { $0 * inverse }
  }
}

/// The gradient of n from that of n/m(n).
private struct MeanQuotientBars: RowMap {
  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] {
    let count = S(Double(rows[1].count)), inverse = count / rows[1].reduce(S(0), +)
    var along = S(0)
    for (bar, n) in zip(rows[0], rows[1]) { along += bar * n * inverse }
    return rows[0].map { ($0 - along / count) * inverse }
  }
}

/// a·x + b·y
private struct Combination: RowMap {
  private let a: Double, b: Double

  init(_ a: Double, _ b: Double) { (self.a, self.b) = (a, b) }

  @_specialize(where S == Double)
  @_specialize(where S == Dual)
  func callAsFunction<S: RealNumber>(_ rows: [[S]]) -> [S] { zip(rows[0], rows[1]).map { S(a) * $0 + S(b) * $1 } }
}
