#!/usr/bin/env bash
# `make down`: stops exactly what `make up` started, and keeps its data.
set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "$0")/lib.sh"
lock
# A worker gives back what it holds within worker.grace, 30 s.
stop worker-1 40
stop worker-2 40
stop receiver 15
stop rabbitmq 60
stop redis 20
rm -f "$run/settings"
say "everything that make up started is stopped; its data is in .run/ (make clean-data removes it)"
