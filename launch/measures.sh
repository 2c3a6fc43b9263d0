# Sourced by launch/systems (after its rows are known): the systems that are no row of settings, measured on its runs.
# `measure_NAME SEED` prints lines `what it is<tab>a fraction of 1`; $runs_of NAME are the rows that have to be trained first.

declare -A runs_of=(
  [ssal]="stages" [faces]="stages" [parts]="stages attentive-parts"
  [feedback]="plain" [masked]="plain" [groups]="plain" [pla]="plain"
)
measures="ssal faces parts feedback masked groups pla sensitivity"

# The mAP of a row of the table on standard input, as a fraction.
cell() {
  awk -v row="$1" 'index($0, row "  ") == 1 { split(substr($0, length(row) + 1), x, " "); printf "%.6f\n", x[1] / 100; exit }'
}
say() { [ -n "$2" ] || fail "$1: no figure"; printf '%s\t%s\n' "$1" "$2"; }
# launch/train; where the run diverged there is no figure.
attempt() {
  local code=0
  launch/train "$@" >&2 || code=$?
  [ $code = 0 ] || [ $code = 76 ] || exit $code
  return $code
}
mAP() { lineup evaluate --checkpoint "$@" | cell euclidean; }
# Generated people of the same seed, drawn with other options: `people NAME option…`.
people() {
  local folder="data/systems-$1"
  shift
  if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    lineup synthesize --output "$folder" "$@" --seed 2 >&2
    touch "$folder/complete"
  fi
  echo "$folder"
}
# The features of a run's images, once: NAME LIST OUTPUT.
features() {
  [ ! -e "$output/features/$3.npy" ] || return 0
  mkdir -p "$output/features"
  lineup extract --checkpoint "$output/$1" --images "$2" --output "$output/features/$3.npy" >&2
}
pair() {
  features "plain-$1" "$data/query" "plain-$1-q"
  features "plain-$1" "$data/bounding_box_test" "plain-$1-g"
  asked=(--query "$output/features/plain-$1-q.npy" --gallery "$output/features/plain-$1-g.npy")
}

# Contextual classification: a run with heads for the groups that the first run confuses.
measure_ssal() {
  local file="$output/ssal-$1.yaml"
  [ -e "$file" ] || lineup confusions --checkpoint "$output/stages-$1" --data "$data" --output "$file" >&2
  attempt --data "$data" --output "$output/ssal-$1" --config "$file" "${scale[@]:2}" --set seed="$1" "${more[@]}" --resume || return 0
  say "stage 4 alone" "$(metric "$output/stages-$1" mAP)"
  say "with the groups' heads" "$(metric "$output/ssal-$1" mAP)"
}

# Trained and judged with faces clear and blurred.
measure_faces() {
  local people trained judged
  people="$(people faces --labels)"
  attempt --data "$people/labels.csv" --output "$output/faces-$1" "${scale[@]}" --set model.head=baseline \
    --set data.faces.train=blurred --set seed="$1" "${more[@]}" --resume || return 0
  for trained in stages faces; do
    for judged in clear blurred; do
      say "trained $([ $trained = stages ] && echo clear || echo blurred), judged $judged" \
        "$(mAP "$output/$trained-$1" --data "$people/labels.csv" --set data.faces.test=$judged)"
    done
  done
}

# Queries of which half show a part of the person.
measure_parts() {
  local people table
  people="$(people parts --partial 0.5)"
  say "half the queries cut, stage 4 alone" "$(mAP "$output/stages-$1" --data "$people")"
  table="$(lineup evaluate --checkpoint "$output/attentive-parts-$1" --data "$people" --set evaluation.parts=true)"
  say "half the queries cut, attentive parts" "$(cell euclidean <<< "$table")"
  say "the same, by parts" "$(cell "euclidean, by parts" <<< "$table")"
}

# An operator labels five images of each ranking, three times.
measure_feedback() {
  local table method
  pair "$1"
  table="$(lineup feedback "${asked[@]}" --rounds 3 --labels 5)"
  say "before any label" "$(cell "cosine, queryShift, round 0" <<< "$table")"
  for method in queryShift relevanceScore passiveAggressive; do
    say "15 labels, $method" "$(cell "cosine, $method, round 3" <<< "$table")"
  done
}

measure_masked() {
  local table
  pair "$1"
  features "plain-$1" "$data/bounding_box_train" "plain-$1-t"
  table="$(lineup score "${asked[@]}" --metric cosine --masks --mask-training "$output/features/plain-$1-t.npy")"
  say "plain ranking" "$(cell cosine <<< "$table")"
  say "masked bits" "$(cell "cosine, masked bits" <<< "$table")"
}

# People who walk together under one camera and the next.
measure_groups() {
  local people split table
  people="$(people faces --labels)"
  for split in query gallery; do
    awk -F, -v split_="$split" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; print "path,identity,camera,group" }
      NR > 1 && $at["split"] == split_ && $at["group"] != "" { print $at["path"] "," $at["identity"] "," $at["camera"] "," $at["group"] }' \
      "$people/labels.csv" > "$people/$split.csv"
    features "plain-$1" "$people/$split.csv" "plain-$1-groups-$split"
  done
  table="$(lineup groups --query "$output/features/plain-$1-groups-query.npy" \
    --gallery "$output/features/plain-$1-groups-gallery.npy")"
  say "groups" "$(cell groups <<< "$table")"
  say "groups, ambiguity removed" "$(cell "groups, ambiguity removed" <<< "$table")"
}

# A search in four stages of 160 steps, which are the 640 of a run, and the settings that it found on all identities.
measure_pla() {
  local search="$output/pla-$1" stage=0 found settings setting images
  local -a from=() set=() plain=(
    --config configs/quickstart.yaml --set 'schedule.steps=[]' --set evaluation.beforeTraining=false
    --set evaluation.everyEpochs=0 --set seed="$1"
  )
  found="$(lineup tune --data "$data" --output "$search" --space configs/spaces/pla-quickstart.yaml "${plain[@]}" "${more[@]}")"
  say "the quickstart" "$(metric "$output/plain-$1" mAP)"
  say "the search's last state, fewer identities" \
    "$(mAP "$(awk '$1 == "checkpoint" { print $2 }' <<< "$found")" --data "$data")"
  while read -r _ _ _ settings; do
    stage=$((stage + 1)) set=()
    for setting in $settings; do set+=(--set "$setting"); done
    images="$(sed -n 's/.*sampling.images=\([0-9]*\).*/\1/p' <<< "$settings")"
    [ -z "$images" ] || set+=(--set sampling.identities=$((32 / images)))
    if [ -z "$(metric "$search-again-$stage" mAP 2> /dev/null)" ]; then
      rm -rf "$search-again-$stage"
      attempt --data "$data" --output "$search-again-$stage" "${plain[@]}" --set schedule.epochs=1000 \
        --set schedule.maxSteps=$((160 * stage)) "${set[@]}" "${more[@]}" "${from[@]}" || return 0
    fi
    from=(--resume-from "$search-again-$stage")
  done < <(awk '$1 ~ /^[0-9]+$/ && $3 ~ /%$/' <<< "$found")
  say "its settings on all identities" "$(metric "$search-again-$stage" mAP)"
}

# Over the rows that have been trained: do networks whose outputs move less under noise lose less on images that none has seen? Those are
# what eight pictures of a training identity and camera have more than four. AM-Softmax has logits of another scale.
measure_sensitivity() {
  local people list name table
  people="$(people unseen --images 8)"
  list="$people/unseen.csv"
  (cd "$people" && ls bounding_box_train) | awk -F_ 'BEGIN { print "path,identity,camera,split" }
    { camera = substr($2, 2, 1); if (++seen[$1 camera] > 4) print "bounding_box_train/" $0 "," $1 + 0 "," camera ",train" }' > "$list"
  for name in "${names[@]}"; do
    [ "$name" != am-softmax ] && [ -e "$output/$name-$1/checkpoints/latest" ] || continue
    table="$(lineup sensitivity --checkpoint "$output/$name-$1" --data "$list" --on train --images 0 --seeds 2)"
    [[ "$table" != *cross-entropy* ]] || awk '$1 == "sensitivity" { s = $2 } $1 == "cross-entropy" { print s, $2 }' <<< "$table"
  done > "$output/sensitivity-$1.txt"
  [ -s "$output/sensitivity-$1.txt" ] || fail "sensitivity: no run of seed $1 has been trained"
  say "rank correlation with the loss on unseen images" "$(awk '
    { s[NR] = $1; l[NR] = $2 }
    function rank(x, i,   j, r) { for (j = 1; j <= NR; j++) r += (x[j] < x[i]) + 0.5 * (x[j] == x[i]); return r }
    END { for (i = 1; i <= NR; i++) { a = rank(s, i) - NR / 2; b = rank(l, i) - NR / 2; aa += a * a; bb += b * b; ab += a * b }
      print (aa * bb > 0 ? ab / sqrt(aa * bb) : 0) }' "$output/sensitivity-$1.txt")"
}
