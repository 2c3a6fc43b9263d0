# Sourced by the scripts here: mpirun as a job that can be asked to stop, without its noise.
source launch/mpi.sh

# `forward mpirun OPTION…` runs it and leaves its exit code in $status, the last signal it was sent in $asked, since when (in
# seconds) in $asked_at, and yes in $killed where mpirun itself was killed.
#
# mpirun kills its ranks a second after a SIGTERM or SIGINT of its own, and goes on unseen when its terminal is closed. SIGUSR1
# it passes on, and the ranks checkpoint and exit with 75. So it gets a session of its own, out of the terminal's reach, and is
# sent SIGUSR1 for all four.
forward() {
  local job noise filter output relay= signal signalled=yes verdict fate
  which_mpi
  if ! verdict="$(mktemp 2>/dev/null)"; then
    echo "${0##*/}: no file can be made in TMPDIR, ${TMPDIR:-/tmp}; choose another" >&2
    exit 70
  fi
  exec {noise}> >(trap '' TERM INT USR1 HUP PIPE; without_noise "$verdict")
  filter=$!
  # mpirun does not bear a pipe whose reader has gone (`| head`), and would take the ranks with it: they are asked to stop.
  if [ -p /dev/stdout ]; then
    exec {output}> >(
      trap '' TERM INT USR1 HUP PIPE
      exec {noise}>&-
      cat 2>/dev/null || { kill -USR1 $$ 2>/dev/null; exec cat >/dev/null; }
    )
    relay=$!
  else
    exec {output}>&1
  fi
  SECONDS=0
  setsid "$@" >&"$output" 2>&"$noise" {output}>&- {noise}>&- &
  job=$!
  exec {output}>&- {noise}>&-
  # In the first seconds mpirun has no ranks to pass a signal on to.
  asked= asked_at= killed=
  for signal in TERM INT USR1 HUP; do
    trap "signalled=yes asked=$signal asked_at=\$EPOCHSECONDS; [ \$SECONDS -ge 3 ] || sleep 3
      kill -USR1 $job 2>/dev/null && kill -CONT $job 2>/dev/null" "$signal"  # mpirun may have been stopped
  done
  # A trap ends `wait` early; without one, its status is the job's.
  set +e
  while [ -n "$signalled" ]; do
    signalled=
    { wait "$job"; } 2>/dev/null  # bash would say "Killed"
    status=$?
  done
  set -e
  # The last lines; whatever outlives mpirun with its stderr is not waited for.
  for _ in {1..20}; do
    kill -0 "$filter" 2>/dev/null || break
    sleep 0.1
  done
  # MPICH's mpirun ends with the number of the signal that has ended a rank.
  if [ "$mpi" = mpich ] && [ "$status" -ge 2 ] && [ "$status" -le 31 ] && [ ! -s "$verdict" ]; then
    echo "mpirun: a rank was ended by signal $status" >&2
    echo signal >"$verdict"
    status=$((128 + status))
  fi
  # After the watchdog, mpirun's ssh to a host that is cut off may be left, and would keep the output open for a quarter of an
  # hour, and with it a pipe after this script.
  if [ "$(<"$verdict")" = missing ]; then
    kill -KILL $(session "$job") "$filter" 2>/dev/null || true
    # A host that cannot be reached keeps mpirun waiting until it is killed (137), and a dead one gives it a code of its own.
    [ "$status" = 0 ] || status=69
  elif [ "$status" -gt 128 ] && [ ! -s "$verdict" ]; then
    fate="; ranks that train save and end by themselves"
    [ "$mpi" = openmpi ] || fate=", and MPICH's daemons kill the ranks"
    echo "${0##*/}: mpirun was killed (signal $((status - 128)))$fate" >&2
    killed=yes status=69
    for _ in {1..300}; do
      [ -n "$(session "$job")" ] || break
      sleep 1
    done
  fi
  if [ -n "$relay" ]; then { wait "$relay"; } 2>/dev/null || true; fi
  trap - TERM INT USR1 HUP
  rm -f "$verdict"
}

# The processes of a session.
session() {
  local process stat fields
  for process in /proc/[0-9]*; do
    read -r stat 2>/dev/null <"$process/stat" || continue
    read -ra fields <<<"${stat##*) }"  # state, parent, group, session
    if [ "${fields[3]}" = "$1" ] && [ "${fields[0]}" != Z ]; then echo "${process#/proc/}"; fi
  done
}

# Kills this script's mpirun, if it has not ended by itself in a quarter of a minute.
end_mpirun_later() {
  sleep 15
  local child name
  for child in $(cat /proc/$$/task/$$/children); do
    read -r name <"/proc/$child/comm" && [ "$name" = mpirun ] && kill -KILL "$child"
  done
} 2>/dev/null

# From stdin to stderr, noting in the file given that a rank or host was "missing", or that a "signal" ended a rank; but for what
# mpirun says of every exit code that is not 0, which Lineup has said better. Its other messages, which are of use, pass.
without_noise() {
  local rule line block
  printf -v rule '%074d' 0
  rule="${rule//0/-}"
  while IFS= read -r line || [ -n "$line" ]; do
    case "$line" in
    "$rule") ;;
    "mpirun: Forwarding signal "* | "Abort("*") on node "*": application called MPI_Abort"*) continue ;;
    *"mca_btl_tcp_frag_"*" failed: "* | *" sent help message help-mpi-btl-tcp.txt / peer hung up" | \
      *" sent help message help-mpi-api.txt / mpi-abort" | *'MCA parameter "orte_base_help_aggregate"'*) continue ;;
    "[mpiexec@"*": assert (!closed) failed")
      echo "mpirun: a host's daemon (hydra_pmi_proxy) has ended: the host is down, or its network is"
      echo missing >"$1"
      continue
      ;;
    "[mpiexec@"*": callback returned error status" | "[mpiexec@"*": error waiting for event" | \
      "[mpiexec@"*": process manager error waiting for completion") continue ;;
    *"(watchdog.seconds)" | *"(LINEUP_START_SECONDS)")
      printf '%s\n' "$line"
      if [ ! -s "$1" ]; then end_mpirun_later >/dev/null & fi
      echo missing >"$1"
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
      echo missing >"$1" ;;
    "ORTE was unable to reliably start one or more daemons"*)
      printf 'mpirun: %s; %s\n' "a host's daemon (orted) was not started or has ended, ssh may have said why" \
        "Open MPI must be on the PATH of every host, and the hosts must reach one another (INTERFACE)"
      echo missing >"$1" ;;
    "mpirun noticed that process rank"*)
      [ -s "$1" ] || echo signal >"$1"
      block="${block//$'\n'/ }" block="${block% }" block="${block/ with PID 0/}"
      printf 'mpirun: %s\n' "${block#mpirun noticed that process }" ;;
    *) printf '%s\n%s%s\n' "$rule" "$block" "$rule" ;;
    esac
  done >&2
}
