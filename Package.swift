// swift-tools-version: 6.0
import PackageDescription

// The data flow, top to bottom: lineup → Training → {Network, Losses, Dataset, Evaluation} → Layers →
// {Kernels, Collectives} → Tensors, files through Storage. See docs/architecture.md.
let package = Package(
  name: "lineup",
  products: [.executable(name: "lineup", targets: ["lineup"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    .systemLibrary(name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "CMPI", dependencies: ["COpenMPI"]),
    .target(name: "CImageCodec", linkerSettings: [.linkedLibrary("jpeg")]),
    .target(name: "CKernels", dependencies: ["COpenBLAS"]),

    .target(name: "Tensors"),
    .target(name: "Kernels", dependencies: ["CKernels", "Tensors"]),
    .target(name: "Collectives", dependencies: ["CMPI", "Tensors"]),
    .target(name: "Layers", dependencies: ["Collectives", "Kernels", "Tensors"]),
    .target(name: "Network", dependencies: ["Layers", "Losses"]),
    .target(name: "Losses", dependencies: ["Layers"]),
    .target(name: "Storage", dependencies: ["COpenSSL", "Tensors"]),
    .target(name: "Dataset", dependencies: ["CImageCodec", "Storage", "Tensors"]),
    .target(name: "Evaluation", dependencies: ["COpenBLAS", "Storage", "Tensors"]),
    .target(
      name: "Training",
      dependencies: [
        "Network", "Losses", "Dataset", "Evaluation", "Storage", "Yams",
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "lineup",
      dependencies: ["Training", .product(name: "ArgumentParser", package: "swift-argument-parser")]),

    .target(name: "Fuzzing", dependencies: ["CImageCodec", "Dataset", "Evaluation", "Storage", "Training"]),
    .executableTarget(name: "lineup-fuzz", dependencies: ["Fuzzing"]),

    .target(name: "TestSupport", dependencies: ["Tensors"], path: "Tests/TestSupport"),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
    .testTarget(name: "StorageTests", dependencies: ["Storage", "TestSupport"]),
    .testTarget(name: "KernelsTests", dependencies: ["Kernels"]),
    .testTarget(name: "CollectivesTests", dependencies: ["Collectives"]),
    .testTarget(name: "LayersTests", dependencies: ["Layers", "Network"]),
    .testTarget(name: "NetworkTests", dependencies: ["Network", "Losses"]),
    .testTarget(name: "LossesTests", dependencies: ["Losses"]),
    .testTarget(name: "DatasetTests", dependencies: ["Dataset"]),
    .testTarget(name: "EvaluationTests", dependencies: ["Evaluation"]),
    .testTarget(name: "TrainingTests", dependencies: ["Training", "TestSupport"]),
    .testTarget(
      name: "FuzzingTests", dependencies: ["Fuzzing", "TestSupport", "lineup-fuzz"], exclude: ["Corpus"]),
    .testTarget(
      name: "lineupTests", dependencies: ["Dataset", "Training"], exclude: ["Faults", "hosts.sh"]),
  ]
)
