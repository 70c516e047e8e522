#!/usr/bin/env bash
# Runs the commands of the README's "Five minutes" and of docs/operations.md's "Step by step", and writes what they
# print into these documents. Afterwards: git diff README.md docs/operations.md.
#
#     cargo build -p planlease-cli && tools/transcripts.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PLANLEASE_TRANSCRIPTS=write cargo test -p planlease-tests --test fleet -- transcripts
