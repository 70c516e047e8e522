#!/bin/sh
# One agent works on one task, in a worktree of its own, and puts the result into the repository in turn.
# `planlease run` starts it for each task that is ready; see README.md.
set -eu
: "${REPOSITORY:?the clone from which worktrees are made}" "${MODEL:?the command that does the work}"
plan=$PLANLEASE_PLAN task=$PLANLEASE_TASK
tree=$(dirname "$REPOSITORY")/trees/$task.$PLANLEASE_ATTEMPT

# An attempt that was killed after its push has done the work: to do it again would do it twice.
is_merged() {
    git -C "$REPOSITORY" fetch -q origin
    git -C "$REPOSITORY" log --format='%(trailers:key=Task,valueonly)' origin/main | grep -qxF "$plan/$task"
}

if is_merged; then
    echo "an earlier attempt has merged it"
    exit 0
fi

planlease worktree add "$tree" --repository "$REPOSITORY" --base origin/main >/dev/null
cd "$tree"
planlease task progress "$plan" "$task" "works in $tree" >/dev/null
# The model. Its edits are committed as one commit, which names the task.
$MODEL "$PLANLEASE_TASK_DESCRIPTION"
git add --all
git commit -q -m "$PLANLEASE_TASK_DESCRIPTION" --trailer "Task: $plan/$task"

# The merge queue: one at a time, in the order of arrival. The token shows the repository that this agent's
# orchestrator still owns the plan; one that lost it is refused.
planlease lock "$plan" merge -- sh -euc '
    git fetch -q origin
    git rebase -q origin/main
    git push -q -o "planlease-token=$PLANLEASE_FENCING_TOKEN" origin HEAD:main'

cd /
# Its commit is on a remote branch, so nothing is lost with it.
planlease worktree remove "$(basename "$tree")" >/dev/null
