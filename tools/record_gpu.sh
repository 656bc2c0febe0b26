#!/bin/sh
# Record what this project measures of a GPU into assets: the tables of docs/gpu.md (recorded/gpu-*@CARD.json), the
# passport the dashboard reads (recorded/passport-CARD.json) and the launches that were fastest (tuning/).
# usage: record_gpu.sh [SECONDS]     begin nothing new after SECONDS (540); run again to go on where it ended
# PYTHON picks the interpreter (.venv/bin/python).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
end=$(($(date +%s) + ${1:-540}))
recorded=assets/recorded
card=$("$python" -c 'from kernels.gpu.card import this_card; print(this_card().slug)')

left() { echo $((end - $(date +%s))); }

check_time() { # check_time WHAT
    [ "$(left)" -gt 0 ] || { echo "time is up before $1; run this again to go on"; exit 0; }
    echo "== $1"
}

record() { # record NAME WHAT ARGUMENTS...
    name=$1 what=$2
    shift 2
    check_time "$name"
    "$python" -m bcbp bench "$what" --device cuda --json "$recorded/gpu-$name@$card.json" \
        --limit-seconds "$(left)" "$@"
}

measure() { # measure MODEL RATIOS: into the passport; after an interrupt what was measured is kept
    check_time "passport of $1"
    timeout --signal=INT "$(left)" "$python" -m bcbp device --measure --device cuda --model "$1" --tile 64 \
        --ratio "$2" --batch 1,32,128 --json "$recorded/passport-$card.json" || [ "$(left)" -le 0 ]
}

[ -s "$recorded/gpu-ceilings@$card.json" ] || record ceilings ceilings
for model in resnet18 vgg16 resnet50 wide_resnet50_2; do
    record "networks-$model" networks --model "$model" --tile 64 --ratio 0.5,0.75 --batch 1,32,128 \
        --methods dense,filter,block,column,bcbp
done
fine=0,0.1,0.15,0.25,0.5,0.75,0.9
for tile in 64 32 128; do
    ratios=0,0.25,0.5,0.75,0.9
    [ "$tile" != 64 ] || ratios=$fine
    record "layers-v$tile" layers --model imagenet --tile "$tile" --ratio "$ratios" --batch 1,32,128 \
        --methods dense,filter,block,column,column-longest,bcbp-as-column,bcbp
done
for precision in tf32 fp32; do
    record "layers-$precision" layers --model imagenet --tile 64 --ratio 0.5,0.75 --batch 32 \
        --methods dense,filter,bcbp --precision "$precision"
done
for model in resnet18 vgg16 resnet50 wide_resnet50_2; do
    measure "$model" "$fine"
done
check_time "fastest launches"
mkdir -p assets/tuning
"$python" -m bcbp tune --model resnet18 --tile 64 --ratio 0.5 --batch 1 --json assets/tuning
