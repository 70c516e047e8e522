#!/bin/sh
# Shows a takeover: starts the fleet of compose.yaml, gives it a plan, kills the orchestrator that owns it, and looks how the
# other one goes on. Takes docker with compose; the images are planlease and planlease-orchestrator. Cleans up behind itself.
set -eu
cd "$(dirname "$0")"

compose() { docker compose --progress quiet -f compose.yaml -p planlease-takeover "$@"; }
planlease() { compose exec -T sidecar-b /planlease "$@"; }
# Who owns the plan: a or b, after the names of the sidecars.
owner() { planlease owner show fleet -o json | sed -n 's/.*"orchestrator": "\([ab]\)-.*/\1/p' | head -1; }

trap 'compose down -v --timeout 1 > /dev/null 2>&1' EXIT
compose up -d --wait etcd-0 etcd-1 etcd-2 sidecar-a sidecar-b
planlease plan import /etc/planlease/fleet.toml
compose up -d orchestrator-a orchestrator-b

until first=$(owner) && [ -n "$first" ]; do sleep 0.2; done
echo "orchestrator-$first owns the plan"
until planlease status fleet -o json | grep -q '"completed": [1-9]'; do sleep 0.2; done
compose kill -s SIGKILL "orchestrator-$first"
until second=$(owner) && [ -n "$second" ] && [ "$second" != "$first" ]; do sleep 0.1; done
echo "orchestrator-$second has taken over"
until planlease status fleet -o json | grep -q '"finished": true'; do sleep 0.5; done
planlease status fleet
planlease owner history fleet
planlease audit
