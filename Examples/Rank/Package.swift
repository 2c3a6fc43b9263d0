// swift-tools-version: 6.0
import PackageDescription

/// A program that embeds images by a checkpoint and ranks them: what a package that uses Lineup looks like.
let package = Package(
  name: "Rank",
  dependencies: [.package(name: "lineup", path: "../..")],
  targets: [
    .executableTarget(name: "Rank", dependencies: [.product(name: "LineupKit", package: "lineup")])
  ]
)
