# Sourced by the scripts here: the repository as working directory, and what mpirun needs to run as root (in a container).
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# UCX, of MPICH, warns of letters that nobody has read when a job ends.
export UCX_LOG_LEVEL="${UCX_LOG_LEVEL:-error}"
# Containers rarely allow the system call that Open MPI copies between processes with; without it there are warnings.
if [ -f /.dockerenv ] || [ -f /run/.containerenv ]; then
  export OMPI_MCA_btl_vader_single_copy_mechanism=none
fi
