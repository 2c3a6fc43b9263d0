import Kernels
import Tensors

/// Attention over the C channels of an image's map X (N pixels × C), what it adds to it (the channel attention of DANet, Fu et
/// al., 2019, as SCAN has it; reconstructed from SCAN's abstract):
///
///     o = β·X·Eᵀ,  E = softmax of each row of max(row of G) − G,  G = XᵀX                 the maximum falls out of the softmax
///     X̄ = β·ō·E + X(Ḡ + Ḡᵀ),  Ē = β·ōᵀX,  Ḡ = −E∘(Ē − rowsum(Ē∘E)),  β̄ = Σ ō∘XEᵀ
///
/// Channels that are unlike one another lend each other what they have.
struct ChannelAttention: ImageAttention {
  private func weights(_ x: DualMatrix, by gemm: Gemm) -> DualMatrix {
    DualMatrix.mapRows([DualMatrix.product(x.transposed, x, by: gemm).scaled(by: -1)], by: SoftmaxRows())
  }

  func forward(_ maps: [DualMatrix], _ scalars: [Double], by gemm: Gemm) -> DualMatrix {
    let e = weights(maps[0], by: gemm)
    return DualMatrix.product(maps[0], e.transposed, by: gemm).scaled(by: scalars[0])
  }

  func largestMatrix(_ shape: Shape) -> Int { shape.channels * shape.channels }

  func express(_ maps: [InferenceGraph.Value], _ scalars: [Double], in graph: InferenceGraph) -> InferenceGraph.Value {
    let x = maps[0], g = graph.matrixProduct(x, graph.transposed(x))
    let e = graph.softmax(graph.with(-1, "Mul", g))
    return graph.with(scalars[0], "Mul", graph.matrixProduct(e, x))
  }

  func backward(_ maps: [DualMatrix], _ scalars: [Double], _ bar: DualMatrix, by gemm: Gemm) -> (
    maps: [DualMatrix], scalars: [Dual]
  ) {
    let x = maps[0], e = weights(x, by: gemm), scaled = bar.scaled(by: scalars[0])
    let eBar = DualMatrix.product(scaled.transposed, x, by: gemm)
    let gBar = DualMatrix.mapRows([eBar, e], by: SoftmaxBars()).scaled(by: -1)
    let symmetric = DualMatrix.sum(gBar, gBar.transposed)
    let xBar = DualMatrix.sum(.product(scaled, e, by: gemm), .product(x, symmetric, by: gemm))
    return ([xBar], [DualMatrix.dot(bar, .product(x, e.transposed, by: gemm))])
  }
}
