#!/bin/sh
# The environment of its own that holds what `make bench` compares with: peers from the package index, and clients from Debian (as root).
# What cannot be had is missing in the results, by name.
set -u
cd "$(dirname "$0")/.."
python=${1:-python3.11}

if [ ! -e .venv-bench/.ready ] || [ benchmarks/requirements.lock -nt .venv-bench/.ready ]; then
    "$python" -m venv .venv-bench &&
        .venv-bench/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r benchmarks/requirements.lock &&
        touch .venv-bench/.ready || echo "setup.sh: the peers could not be installed; they are missing in the results" >&2
fi

if ! command -v lftp >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq --no-install-recommends lftp >/dev/null 2>&1 || echo "setup.sh: could not install lftp" >&2
fi
exit 0
