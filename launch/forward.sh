# Sourced by the scripts here: mpirun as a job that can be asked to stop, without its noise.

# `forward mpirun OPTION…` runs it and leaves its exit code in $status, and the last signal it was sent in $asked.
#
# mpirun kills its ranks a second after a SIGTERM or SIGINT of its own, and goes on unseen when its terminal is closed. SIGUSR1
# it passes on, and the ranks checkpoint and exit with 75. So it gets a session of its own, out of the terminal's reach, and is
# sent SIGUSR1 for all four.
forward() {
  local job noise filter signal signalled=yes verdict
  if ! verdict="$(mktemp 2>/dev/null)"; then
    echo "${0##*/}: no file can be made in TMPDIR, ${TMPDIR:-/tmp}; choose another" >&2
    exit 70
  fi
  exec {noise}> >(trap '' TERM INT USR1 HUP PIPE; without_noise "$verdict")
  filter=$!
  SECONDS=0
  setsid "$@" 2>&"$noise" {noise}>&- &
  job=$!
  exec {noise}>&-
  # In the first seconds mpirun has no ranks to pass a signal on to.
  asked=
  for signal in TERM INT USR1 HUP; do
    trap "signalled=yes asked=$signal; [ \$SECONDS -ge 3 ] || sleep 3; kill -USR1 $job 2>/dev/null" "$signal"
  done
  # A trap ends `wait` early; without one, its status is the job's.
  set +e
  while [ -n "$signalled" ]; do
    signalled=
    { wait "$job"; } 2>/dev/null  # bash would say "Killed"
    status=$?
  done
  set -e
  trap - TERM INT USR1 HUP
  # The last lines; whatever outlives mpirun with its stderr is not waited for.
  for _ in {1..20}; do
    kill -0 "$filter" 2>/dev/null || break
    sleep 0.1
  done
  # After the watchdog, mpirun's ssh to a host that is cut off may be left, and would keep the output open for a quarter of an
  # hour, and with it a pipe after this script.
  if [ -s "$verdict" ]; then
    local process stat
    for process in /proc/[0-9]*; do
      read -r stat 2>/dev/null <"$process/stat" || continue
      set -- ${stat##*) }  # state, parent, group, session
      if [ "$4" = "$job" ]; then kill -KILL "${process#/proc/}" 2>/dev/null || true; fi
    done
    kill -KILL "$filter" 2>/dev/null || true
  fi
  # A host that cannot be reached keeps mpirun waiting until it is killed (137), and a dead one gives it a code of its own.
  if [ "$status" != 0 ] && [ -s "$verdict" ]; then status=69; fi
  rm -f "$verdict"
}

# Kills this script's mpirun, if it has not ended by itself in a quarter of a minute.
end_mpirun_later() {
  sleep 15
  local child name
  for child in $(cat /proc/$$/task/$$/children); do
    read -r name <"/proc/$child/comm" && [ "$name" = mpirun ] && kill -KILL "$child"
  done
} 2>/dev/null

# From stdin to stderr, noting in the file given where a rank or host was missing, but for what mpirun says of every exit code
# that is not 0, which Lineup has said better. Its other messages, which are of use, pass.
without_noise() {
  local rule line block
  printf -v rule '%074d' 0
  rule="${rule//0/-}"
  while IFS= read -r line || [ -n "$line" ]; do
    case "$line" in
    "$rule") ;;
    "mpirun: Forwarding signal "*) continue ;;
    *"mca_btl_tcp_frag_"*" failed: "* | *" sent help message help-mpi-btl-tcp.txt / peer hung up" | \
      *" sent help message help-mpi-api.txt / mpi-abort" | *'MCA parameter "orte_base_help_aggregate"'*) continue ;;
    *"(watchdog.seconds)")
      printf '%s\n' "$line"
      if [ ! -s "$1" ]; then end_mpirun_later >/dev/null & fi
      echo 69 >"$1"
      continue
      ;;
    *) printf '%s\n' "$line"; continue ;;
    esac
    block=""
    while IFS= read -r line && [ "$line" != "$rule" ]; do block+="$line"$'\n'; done
    case "$block" in
    "Primary job "*"terminated normally"* | "mpirun detected that one or more processes exited"* | "MPI_ABORT was invoked"*) ;;
    "An MPI communication peer process has unexpectedly disconnected"*) ;;  # why, other lines say better
    "ORTE has lost communication with a remote daemon"*)
      line="${block##*Remote daemon: }" line="${line%%$'\n'*}"
      printf 'mpirun: host %s is missing: it is down, or its network is\n' "${line##* on node }"
      echo 69 >"$1" ;;
    "ORTE was unable to reliably start one or more daemons"*)
      printf 'mpirun: %s; %s\n' "a host's daemon (orted) was not started or has ended, ssh may have said why" \
        "Open MPI must be on the PATH of every host, and the hosts must reach one another (INTERFACE)"
      echo 69 >"$1" ;;
    "mpirun noticed that process rank"*)
      block="${block//$'\n'/ }" block="${block% }" block="${block/ with PID 0/}"
      printf 'mpirun: %s\n' "${block#mpirun noticed that process }" ;;
    *) printf '%s\n%s%s\n' "$rule" "$block" "$rule" ;;
    esac
  done >&2
}
