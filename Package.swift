// swift-tools-version: 6.0
import PackageDescription

/// The pkg-config package of the MPI to build with. Debian's `mpi` is the one that `launch/setup` has chosen.
let mpi = Context.environment["LINEUP_MPI"] ?? "mpi"

// The data flow, top to bottom: lineup → Training → {Network → Losses, Dataset, Evaluation} → Layers →
// {Kernels, Collectives} → Tensors, files through Storage; Training → TensorBoard; lineup → Monitor → Training;
// lineup → ForeignWeights → Network; lineup → Service → Retrieval → {Dataset, Evaluation}; lineup → Report → Pictures →
// {Dataset, Evaluation}. See docs/architecture.md.
let package = Package(
  name: "lineup",
  products: [
    .executable(name: "lineup", targets: ["lineup"]),
    .library(name: "LineupKit", targets: ["LineupKit"]),
    .library(name: "LineupC", type: .dynamic, targets: ["LineupC"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(name: "CSystemMPI", pkgConfig: mpi, providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CMatIO", pkgConfig: "matio", providers: [.apt(["libmatio-dev"])]),
    .systemLibrary(name: "CCairo", pkgConfig: "cairo", providers: [.apt(["libcairo2-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CMinizip", pkgConfig: "minizip", providers: [.apt(["libminizip-dev"])]),
    .systemLibrary(name: "CProtobuf", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
    .target(name: "CMPI", dependencies: ["CSystemMPI"]),
    .target(name: "CImageCodec", linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
    .target(name: "CKernels", dependencies: ["COpenBLAS"]),
    .target(name: "CHTTP", linkerSettings: [.linkedLibrary("microhttpd")]),
    .target(name: "CONNX", dependencies: ["CProtobuf"], exclude: ["onnx.proto"]),
    .target(name: "CTensorBoard", dependencies: ["CProtobuf"], exclude: ["tensorboard.proto"]),

    // Each names all that it imports.
    .target(name: "Protobuf", dependencies: ["CProtobuf"]),
    .target(name: "Tensors"),
    .target(name: "Kernels", dependencies: ["CKernels", "Tensors"]),
    .target(name: "Collectives", dependencies: ["CMPI", "Tensors"]),
    .target(name: "Layers", dependencies: ["Collectives", "Kernels", "Tensors"]),
    .target(name: "Losses", dependencies: ["Collectives", "Layers", "Tensors"]),
    .target(name: "Network", dependencies: ["Collectives", "Kernels", "Layers", "Losses", "Tensors"]),
    .target(name: "Storage", dependencies: ["CMatIO", "COpenSSL", "CZlib", "Tensors"]),
    .target(name: "TensorBoard", dependencies: ["CISAL", "CTensorBoard", "Protobuf", "Storage", "Tensors"]),
    .target(name: "Dataset", dependencies: ["CImageCodec", "Storage", "Tensors"]),
    .target(name: "Evaluation", dependencies: ["Kernels", "Storage", "Tensors"]),
    .target(
      name: "Training",
      dependencies: [
        "Collectives", "Dataset", "Evaluation", "Kernels", "Layers", "Losses", "Network", "Storage",
        "TensorBoard", "Tensors", "Yams",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .target(
      name: "ForeignWeights",
      dependencies: ["CMinizip", "CONNX", "Layers", "Network", "Protobuf", "Storage", "Tensors"]),
    .target(name: "Monitor", dependencies: ["Storage", "Tensors", "Training"]),
    .target(name: "Retrieval", dependencies: ["Dataset", "Evaluation", "Kernels", "Storage", "Tensors"]),
    .target(name: "Service", dependencies: ["CHTTP", "Dataset", "Evaluation", "Retrieval", "Storage", "Tensors"]),
    .target(name: "Pictures", dependencies: ["CCairo", "Dataset", "Evaluation", "Storage", "Tensors"]),
    .target(name: "Report", dependencies: ["Dataset", "Pictures"]),
    .executableTarget(
      name: "lineup",
      dependencies: [
        "Collectives", "Dataset", "Evaluation", "ForeignWeights", "Kernels", "Layers", "Monitor", "Network", "Pictures",
        "Report", "Retrieval", "Service", "Storage", "Tensors", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // For programs of others: what a checkpoint embeds, in Swift and behind a C interface.
    .target(
      name: "LineupKit", dependencies: ["Collectives", "Dataset", "Evaluation", "Network", "Tensors", "Training"]),
    .target(name: "LineupC", dependencies: ["LineupKit"], exclude: ["lineup.h"]),
    // A package by itself, too; here it is built and run by the tests.
    .executableTarget(name: "Rank", dependencies: ["LineupKit"], path: "Examples/Rank/Sources/Rank"),

    .target(
      name: "Fuzzing",
      dependencies: [
        "CImageCodec", "Dataset", "Evaluation", "ForeignWeights", "Monitor", "Retrieval", "Service", "Storage",
        "TensorBoard", "Tensors",
        "Training",
      ]),
    .executableTarget(name: "lineup-fuzz", dependencies: ["Fuzzing", "Tensors"]),

    .target(name: "TestSupport", dependencies: ["CMatIO", "Tensors"], path: "Tests/TestSupport"),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
    .testTarget(name: "StorageTests", dependencies: ["Storage", "Tensors", "TestSupport"]),
    .testTarget(name: "KernelsTests", dependencies: ["CKernels", "Kernels", "Tensors"]),
    .testTarget(name: "CollectivesTests", dependencies: ["Collectives", "Tensors"]),
    .testTarget(name: "LayersTests", dependencies: ["Collectives", "Kernels", "Layers", "Network", "Tensors"]),
    .testTarget(
      name: "NetworkTests", dependencies: ["Collectives", "Kernels", "Layers", "Losses", "Network", "Tensors"]),
    .testTarget(name: "LossesTests", dependencies: ["Collectives", "Kernels", "Layers", "Losses", "Tensors"]),
    .testTarget(
      name: "DatasetTests", dependencies: ["Dataset", "Tensors", "TestSupport"],
      exclude: ["Augmentations.txt", "ImageKinds.txt"]),
    .testTarget(
      name: "ForeignWeightsTests",
      dependencies: ["ForeignWeights", "Layers", "Network", "Storage", "Tensors", "TestSupport"]),
    .testTarget(name: "EvaluationTests", dependencies: ["Evaluation", "Tensors"]),
    .testTarget(
      name: "RetrievalTests",
      dependencies: ["Dataset", "Evaluation", "Kernels", "Retrieval", "Storage", "Tensors", "TestSupport"]),
    .testTarget(
      name: "ServiceTests", dependencies: ["Dataset", "Evaluation", "Retrieval", "Service", "Tensors", "TestSupport"]),
    .testTarget(
      name: "PicturesTests", dependencies: ["Dataset", "Evaluation", "Pictures", "Tensors", "TestSupport"]),
    .testTarget(name: "ReportTests", dependencies: ["Pictures", "Report"]),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Collectives", "Dataset", "Evaluation", "Kernels", "Layers", "Losses", "Network", "Storage", "Tensors",
        "TestSupport", "Training",
      ]),
    .testTarget(name: "TensorBoardTests", dependencies: ["Storage", "TensorBoard", "Tensors", "TestSupport"]),
    .testTarget(name: "MonitorTests", dependencies: ["Monitor", "Storage", "Tensors", "TestSupport", "Training"]),
    .testTarget(
      name: "FuzzingTests", dependencies: ["Fuzzing", "Tensors", "TestSupport", "lineup-fuzz"], exclude: ["Corpus"]),
    .testTarget(
      name: "lineupTests",
      dependencies: [
        "CTensorBoard", "Dataset", "Evaluation", "Kernels", "LineupC", "LineupKit", "Rank", "Storage", "Training",
        "lineup",
      ],
      exclude: ["Faults", "hosts.sh"]),
  ]
)
