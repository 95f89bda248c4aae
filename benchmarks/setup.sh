#!/bin/sh
# The environments that hold what `make bench` compares with: peers from the package index, dbt apart, and clients from Debian (as root).
# What cannot be had is missing in the results, by name.
set -u
cd "$(dirname "$0")/.."
python=${1:-python3.11}

install() { # ENVIRONMENT LOCK
    if [ ! -e "$1/.ready" ] || [ "$2" -nt "$1/.ready" ]; then
        "$python" -m venv "$1" &&
            "$1/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$2" &&
            touch "$1/.ready" || echo "setup.sh: the peers of $2 could not be installed; they are missing in the results" >&2
    fi
}

install .venv-bench benchmarks/requirements.lock
install .venv-dbt benchmarks/requirements-dbt.lock

if ! command -v lftp >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq --no-install-recommends lftp >/dev/null 2>&1 || echo "setup.sh: could not install lftp" >&2
fi
exit 0
