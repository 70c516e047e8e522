#!/bin/sh
# Stands in for a model: does what a task says, slowly, by writing a file. A real one would be
# `claude -p`, `codex exec`, `gemini -p` or the like, with the description as its prompt.
set -eu
sleep "${MODEL_SECONDS:-1}"
printf '%s\n' "$1" > "notes-$PLANLEASE_TASK.md"
echo "wrote notes-$PLANLEASE_TASK.md"
