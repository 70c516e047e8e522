#!/usr/bin/env bash
# Runs the commands of the README's "Five minutes" and writes what they print into it. Afterwards: git diff README.md.
#
#     cargo build -p planlease-cli && tools/readme-transcripts.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PLANLEASE_README=write cargo test -p planlease-tests --test fleet -- readme
