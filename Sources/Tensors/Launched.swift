import Foundation

/// What an MPI launcher tells its processes in their environment, before MPI has started: by the names of Open MPI, of PMIx and of
/// MPICH's Hydra.
package enum Launched {
  /// This process's rank; nil where no launcher has started it.
  package static var rank: String? { first("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK") }
  /// Its number among those of its host, where it is told.
  package static var localRank: String? { first("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID") }
  /// How many ranks the job has, where it is told.
  package static var size: Int? { first("OMPI_COMM_WORLD_SIZE", "PMI_SIZE").flatMap(Int.init) }
  /// Whether it was MPICH's (or Intel MPI's) mpirun.
  package static var isByHydra: Bool { first("MPI_LOCALRANKID") != nil }

  private static func first(_ names: String...) -> String? {
    for name in names {
      if let value = getenv(name) { return String(cString: value) }
    }
    return nil
  }
}
