#!/usr/bin/env bash
# Measure this machine's GPU and add its row to benchmarks/README.md. Needs a CUDA GPU with its driver, git, make, and
# Python 3.11 or newer; takes some minutes beside the installation. Nothing leaves the machine: send the new files
# benchmarks/results/speed-*.json and benchmarks/README.md as a pull request.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1) || [ -z "$gpu" ]; then
    echo "no CUDA GPU found: nvidia-smi does not list one; on a CPU run: make bench-all" >&2
    exit 1
fi
make .venv/.bench
if ! .venv/bin/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "nvidia-smi lists '$gpu', but torch cannot use it; install the torch build for this driver (pytorch.org)" >&2
    exit 1
fi
name=$(printf '%s' "$gpu" | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' '-' | sed 's/^-//; s/-$//')
.venv/bin/python benchmarks/bench_speed.py --engine torch --name "$name"
.venv/bin/python docs/make_tables.py
