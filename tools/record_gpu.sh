#!/bin/sh
# Record what this project measures of a GPU into assets/recorded/gpu-*.json.
# usage: record_gpu.sh [SECONDS]     begin nothing new after SECONDS (540); run again to go on where it ended
# PYTHON picks the interpreter (.venv/bin/python).
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
end=$(($(date +%s) + ${1:-540}))
recorded=assets/recorded

left() { echo $((end - $(date +%s))); }

record() { # record NAME WHAT ARGUMENTS...
    name=$1 what=$2
    shift 2
    [ "$(left)" -gt 0 ] || { echo "time is up before $name; run this again to go on"; exit 0; }
    echo "== $name"
    "$python" -m bcbp bench "$what" --device cuda --json "$recorded/gpu-$name.json" \
        --limit-seconds "$(left)" "$@"
}

[ -s "$recorded/gpu-ceilings.json" ] || record ceilings ceilings
for model in resnet18 vgg16 resnet50 wide_resnet50_2; do
    record "networks-$model" networks --model "$model" --tile 64 --ratio 0.5,0.75 --batch 1,32,128 \
        --methods dense,filter,block,column,bcbp
done
for tile in 64 32 128; do
    record "layers-v$tile" layers --model imagenet --tile "$tile" --ratio 0.25,0.5,0.75,0.9 --batch 1,32,128 \
        --methods dense,filter,block,column,column-longest,bcbp
done
for precision in tf32 fp32; do
    record "layers-$precision" layers --model imagenet --tile 64 --ratio 0.5,0.75 --batch 32 \
        --methods dense,filter,bcbp --precision "$precision"
done
