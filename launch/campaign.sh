# Sourced by the scripts that train the rows of a table (after environment.sh): what they do alike.

# Their options: $data, $output, $seeds, $more (for `lineup train`). `option "$@"` takes one and leaves in $taken how many words it was.
data="" output="" seeds="1 2 3" more=()
fail() { echo "${0##*/}: $1" >&2; exit 64; }
absolute() { case "$1" in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
option() {
  taken=2
  case "$1" in
  --data | --output | --seeds) [ -n "${2:-}" ] || fail "$1 needs a value" ;;&
  --data) data="$(absolute "$2")" ;;
  --output) output="$(absolute "$2")" ;;
  --seeds) seeds="$2" ;;
  *) more+=("$1"); taken=1 ;;
  esac
}

# `begin FOLDER [synthesize option…]`: the program, the data (generated people in data/FOLDER where none are given), and the folder of the
# runs (runs/FOLDER), whose finished runs are taken as they are, so they have to be of these settings.
begin() {
  local name="$1" settings
  shift
  [ -n "${seeds// /}" ] || fail "--seeds: no seed"
  for seed in $seeds; do [[ "$seed" =~ ^[0-9]+$ ]] || fail "--seeds: $seed is not a number"; done
  swift build -c release --product lineup >&2
  PATH="$(swift build -c release --show-bin-path):$PATH"
  export PATH
  output="${output:-runs/$name}"
  if [ -z "$data" ]; then
    data="data/$name"
    if [ ! -e "$data/complete" ]; then
      rm -rf "$data"
      lineup synthesize --output "$data" "$@" --seed 2
      touch "$data/complete"
    fi
  fi
  mkdir -p "$output"
  settings="$(printf '%s\n' "$data" "${scale[@]}" "${more[@]}")"
  if [ -e "$output/settings" ] && [ "$settings" != "$(cat "$output/settings")" ]; then
    fail "$output: holds runs of other data or settings (see $output/settings); choose another --output"
  fi
  printf '%s\n' "$settings" > "$output/settings"
}

# The values of a metric in a run, one a line.
metrics() { { grep "\"$2\":" "$1/metrics.jsonl" || true; } | sed "s/.*\"$2\": \([0-9.e-]*\).*/\1/"; }
# The last one.
metric() { metrics "$1" "$2" | tail -n 1; }
# Mean and standard deviation (of n − 1) of percentages.
spread() { awk 'NF { x[++n] = 100 * $1; s += x[n] } END { if (!n) { printf "none"; exit }
  m = s / n; for (i in x) v += (x[i] - m) ^ 2
  printf "%5.1f +- %4.1f", m, (n > 1 ? sqrt(v / (n - 1)) : 0) }'; }
