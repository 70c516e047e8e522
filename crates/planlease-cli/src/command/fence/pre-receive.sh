#!/bin/sh
# A pre-receive hook: refuses the pushes of those who have owned a planlease plan before somebody else did.
#
# An owner pushes with its fencing token, inside `planlease hold` or `planlease run`:
#
#     git push -o planlease-token="$PLANLEASE_FENCING_TOKEN" origin HEAD
#
# Where owners of several plans push, each names its plan too: -o planlease-plan="$PLANLEASE_PLAN". Tokens are compared
# within one plan only. The repository has to take push options: git config receive.advertisePushOptions true.
#
# A push without a token is refused, unless: git config planlease.tokenRequired false.
set -eu

token=
resource=repository
n=0
while [ "$n" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "option=\$GIT_PUSH_OPTION_$n"
  case $option in
    planlease-token=*) token=${option#planlease-token=} ;;
    planlease-plan=*) resource=plan:${option#planlease-plan=} ;;
  esac
  n=$((n + 1))
done

if [ -z "$token" ]; then
  if [ "$(git config --type=bool --default=true planlease.tokenRequired)" = false ]; then
    exit 0
  fi
  echo 'refused: this push has no fencing token; push with -o planlease-token=TOKEN' >&2
  exit 1
fi

state=$(git rev-parse --absolute-git-dir)/planlease-fence
exec planlease fence check "$resource" --token "$token" --state "$state" > /dev/null
