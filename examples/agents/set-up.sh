#!/bin/sh
# Makes what the agents share, in a new folder: the server's repository with the fence as its hook, a clone from
# which worktrees are made, and the plan.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir "$1"
cd "$1"
git init -q --bare --initial-branch=main server.git
git clone -q server.git repository 2>/dev/null
cd repository
git config user.name agent
git config user.email agent@localhost
git commit -q --allow-empty -m 'Begin'
git push -q origin HEAD:main
cd ..
planlease plan import "$here/plan.md" --plan notes
planlease fence hook --plan notes > server.git/hooks/pre-receive
chmod +x server.git/hooks/pre-receive
git -C server.git config receive.advertisePushOptions true
git -C server.git config core.hooksPath "$PWD/server.git/hooks"
mkdir trees
