import Foundation

/// The mpirun that is on the PATH. Open MPI's and MPICH's differ in some options, and in what is between them and the ranks.
enum Mpirun {
  /// Whether it is MPICH's, by its own words.
  static let isMPICH = Hosts.shell("mpirun --version").output.contains("HYDRA")

  /// Whether ranks are killed, by its daemons, when it is.
  static let killsRanks = isMPICH

  /// So many ranks on this machine, in turns where it has fewer cores.
  static func here(_ ranks: Int) -> [String] {
    ["mpirun"] + (isMPICH ? [] : ["--oversubscribe"]) + ["--bind-to", "none", "-n", "\(ranks)"]
  }

  /// One rank on each of the hosts of a folder (`hosts.sh`).
  static func on(_ hosts: String, _ count: Int) -> [String] {
    let names = (1...count).map { "10.77.0.\($0)" }.joined(separator: ",")
    let placed =
      isMPICH ? ["-hosts", names, "-ppn", "1"] : ["--hostfile", "\(hosts)/hosts", "--map-by", "ppr:1:node"]
    return ["mpirun"] + placed + ["-n", "\(count)"]
  }

  /// How it reaches those hosts, which share the cores of this machine.
  static func environment(_ hosts: String) -> [String: String] {
    isMPICH
      ? [
        "HYDRA_LAUNCHER_EXEC": "\(hosts)/ssh", "HYDRA_IFACE": "eth0", "UCX_NET_DEVICES": "eth0", "UCX_TLS": "self,tcp",
      ]
      : [
        "OMPI_MCA_plm_rsh_agent": "\(hosts)/ssh", "OMPI_MCA_btl_tcp_if_include": "eth0",
        "OMPI_MCA_oob_tcp_if_include": "eth0", "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
      ]
  }

  /// What it is asked for by every test.
  static let usual: [String: String] =
    isMPICH
    ? ["UCX_LOG_LEVEL": "error"]
    : geteuid() == 0 ? ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"] : [:]

  /// What a process sees of the other one's mpirun.
  static func foreign(ranks: Int) -> [String: String] {
    let prefix = isMPICH ? "OMPI_COMM_WORLD" : "PMI"
    return ["\(prefix)_SIZE": "\(ranks)", "\(prefix)_RANK": "0"]
  }

  /// Its process on every host but the first; MPICH has one there too, between it and the ranks.
  static let daemon = isMPICH ? "hydra_pmi_proxy" : "orted"

  /// The ranks that it has started on this machine, in their order.
  static func ranks(of mpirun: pid_t) -> [pid_t] {
    let children = Command.children(of: mpirun)
    guard isMPICH, let proxy = children.first else { return children }
    return Command.children(of: proxy)
  }
}
