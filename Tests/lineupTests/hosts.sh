#!/usr/bin/env bash
# Hosts on one machine, for what crosses a network: each is a network namespace with its own host name, address and sshd.
#
#   hosts.sh up FOLDER N [RATE]   hosts h1 to hN at 10.77.0.1 to N on a bridge, each link limited to RATE (such as 1gbit);
#                                 FOLDER gets their keys, `hosts` (a host file) and `ssh` (what mpirun reaches them with)
#   hosts.sh on FOLDER I CMD…     runs a command on host I
#   hosts.sh cut FOLDER I         takes host I off the network; `mend` puts it back
#   hosts.sh kill FOLDER I        kills every process on host I, its sshd too
#   hosts.sh pids FOLDER NAME     the processes of that name on the hosts
#   hosts.sh down FOLDER          kills what is left and removes everything but FOLDER
#
# Needs root, iproute2, openssh-server and openssh-client. Names come from FOLDER's, and all addresses are inside the
# namespaces, so that any number may be up at a time. Nothing outside of FOLDER is written, but sshd's empty /run/sshd.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 64; }
action=$1 folder=$(realpath "$2")
shift 2
# The hosts' names are short; those of the namespaces are the machine's.
token="lineup-$(printf '%s' "$folder" | cksum | cut -d ' ' -f 1)"
space() { echo "$token-h$1"; }
hub="$token-hub"
spaces() { ip netns list | cut -d ' ' -f 1 | grep "^$token-" || true; }
inside() { exec ip netns exec "$(space "$1")" unshare --uts sh -c 'hostname "$0"; exec "$@"' "h$1" "${@:2}"; }

case $action in
up)
  count=$1 rate=${2:-}
  for name in key hostkey; do
    [ -f "$folder/$name" ] || ssh-keygen -q -t ed25519 -N '' -C lineup-test -f "$folder/$name"
  done
  cp "$folder/key.pub" "$folder/authorized"
  chmod 600 "$folder/authorized"
  mkdir -p /run/sshd
  printf '%s\n' '#!/bin/sh' \
    "exec ssh -F /dev/null -i '$folder/key' -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \"\$@\"" \
    >"$folder/ssh"
  chmod +x "$folder/ssh"
  ip netns add "$hub"
  ip -n "$hub" link add bridge type bridge
  ip -n "$hub" link set bridge up
  : >"$folder/hosts"
  for i in $(seq "$count"); do
    ip netns add "$(space "$i")"
    ip -n "$(space "$i")" link add eth0 type veth peer name "port$i" netns "$hub"
    ip -n "$hub" link set "port$i" master bridge
    ip -n "$hub" link set "port$i" up
    ip -n "$(space "$i")" addr add "10.77.0.$i/24" dev eth0
    ip -n "$(space "$i")" link set eth0 up
    ip -n "$(space "$i")" link set lo up
    if [ -n "$rate" ]; then
      ip netns exec "$(space "$i")" tc qdisc add dev eth0 root tbf rate "$rate" burst 256kb latency 50ms
      ip netns exec "$hub" tc qdisc add dev "port$i" root tbf rate "$rate" burst 256kb latency 50ms
    fi
    echo "10.77.0.$i slots=1" >>"$folder/hosts"
    (inside "$i" "$(command -v sshd || echo /usr/sbin/sshd)" -f /dev/null -o HostKey="$folder/hostkey" \
      -o AuthorizedKeysFile="$folder/authorized" -o StrictModes=no -o PidFile=none -o PermitRootLogin=yes -o UsePAM=no \
      -o MaxStartups=100 -E "$folder/sshd.log")
  done
  ;;
on) inside "$@" ;;
cut) ip -n "$hub" link set "port$1" down ;;
mend) ip -n "$hub" link set "port$1" up ;;
kill)
  # Twice: one may be starting another.
  for _ in 1 2; do ip netns pids "$(space "$1")" | xargs -r kill -KILL 2>/dev/null || true; done
  ;;
pids)
  for name in $(spaces); do
    for process in $(ip netns pids "$name"); do
      if read -r comm 2>/dev/null <"/proc/$process/comm" && [ "$comm" = "$1" ] && ! grep -q '^State:.Z' "/proc/$process/status"; then
        echo "$process"
      fi
    done
  done
  ;;
down)
  for name in $(spaces); do
    for _ in 1 2; do ip netns pids "$name" | xargs -r kill -KILL 2>/dev/null || true; done
    ip netns del "$name"
  done
  ;;
*) echo "hosts.sh: $action is none of up, on, cut, mend, kill, pids, down" >&2; exit 64 ;;
esac
