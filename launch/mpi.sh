# Sourced by launch/forward.sh: what differs between Open MPI's mpirun and MPICH's (Hydra, which is also Intel MPI's).

# Sets $mpi to openmpi or mpich, by the words of the mpirun on the PATH.
which_mpi() {
  case "$(mpirun --version 2>&1)" in
  *OpenRTE* | *"Open MPI"*) mpi=openmpi ;;
  *HYDRA* | *"Intel(R) MPI"*) mpi=mpich ;;
  *) echo "${0##*/}: $(command -v mpirun) is neither Open MPI's nor MPICH's" >&2; exit 69 ;;
  esac
}

# The hosts of a host file, each once.
hosts_of() { awk '!/^[[:space:]]*(#|$)/ && !seen[$1]++ { print $1 }' "$1"; }

# `place RANKS CORES HOSTFILE INTERFACES` sets $options: so many ranks a host, each bound to so many cores, or to none where
# CORES is 0, on this host where HOSTFILE is empty; with the variables LINEUP_… on every host.
place() {
  options=()
  local name
  if [ "$mpi" = openmpi ]; then
    [ -z "$3" ] || options+=(--hostfile "$3")
    if [ "$2" = 0 ]; then
      options+=(--map-by "ppr:$1:node:oversubscribe" --bind-to none)
    elif [ -n "$3" ]; then
      options+=(--map-by "ppr:$1:node:PE=$2")
    else
      options+=(--map-by "slot:PE=$2")
    fi
    [ -z "$4" ] || options+=(--mca btl_tcp_if_include "$4" --mca oob_tcp_if_include "$4")
    for name in $(compgen -e LINEUP_); do options+=(-x "$name"); done
    return
  fi
  # It hands on the whole environment, and knows host files of its own kind only.
  [ -z "$3" ] || options+=(-hosts "$(hosts_of "$3" | paste -s -d ,)" -ppn "$1")
  if [ "$2" = 0 ]; then options+=(-bind-to none); else options+=(-bind-to "core:$2"); fi
  if [ -n "$4" ]; then
    options+=(-iface "${4%%,*}")
    export UCX_NET_DEVICES="$4" FI_TCP_IFACE="${4%%,*}"
  fi
}
