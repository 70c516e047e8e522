#!/bin/sh
# A pre-receive hook: refuses pushes by former owners of a planlease plan.
#
# An owner pushes with its fencing token, inside `planlease hold` or `planlease run`:
#
#     git push -o planlease-token="$PLANLEASE_FENCING_TOKEN" origin HEAD
#
# Printed by `planlease fence hook`. Which plan a reference belongs to was decided then: a push does not choose it. The
# repository needs these settings, so that neither push options nor this hook depend on the settings of who pushes:
#
#     git config receive.advertisePushOptions true
#     git config core.hooksPath "$(git rev-parse --absolute-git-dir)/hooks"
#
# A push without a token is refused, unless: git config planlease.tokenRequired false.
set -eu

# A line each: PREFIX-OF-REFERENCES PLAN. Without any, the whole repository is one resource of one plan.
plans=''
# Whether the store is asked for the highest token that it has issued.
ask=false

unset GIT_CONFIG
for name in $(env | sed -n 's/^\(PLANLEASE_[A-Za-z0-9_]*\)=.*/\1/p'); do
  unset "$name"
done
# The settings, if the store is asked.

refuse() {
  printf 'refused: %s\n' "$1" >&2
  exit 1
}

token=
named=
n=0
while [ "$n" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "option=\$GIT_PUSH_OPTION_$n"
  case $option in
    planlease-token=*) token=${option#planlease-token=} ;;
    planlease-plan=*) named=${option#planlease-plan=} ;;
  esac
  n=$((n + 1))
done

# The plan whose prefix of the reference $1 is the longest.
plan_of() {
  best=
  longest=
  while read -r prefix plan; do
    case $1 in
      "$prefix"*) if [ "${#prefix}" -ge "${#longest}" ]; then best=$plan longest=$prefix; fi ;;
    esac
  done <<PLANS
$plans
PLANS
  printf '%s\n' "$best"
}

plan=
resource=repository
while [ -n "$plans" ] && read -r _ _ reference; do
  own=$(plan_of "$reference")
  [ -n "$own" ] || refuse "$reference belongs to no plan that may push here"
  [ -z "$plan" ] || [ "$plan" = "$own" ] || refuse "one push changes what belongs to $plan and to $own"
  plan=$own
  resource=plan:$own
done
if [ -n "$named" ] && [ "$named" != "$plan" ]; then
  refuse "this is not for plan $named to push; the hook was set up for ${plan:-the whole repository}"
fi

if [ -z "$token" ]; then
  if [ "$(git config --local --type=bool --default=true planlease.tokenRequired)" = false ]; then
    exit 0
  fi
  refuse 'this push has no fencing token; push with -o planlease-token=TOKEN'
fi

state=$(git rev-parse --absolute-git-dir)/planlease-fence
set -- fence check "$resource" "--token=$token" --state "$state"
if "$ask"; then
  set -- "$@" --plan "$plan"
fi
exec planlease "$@" > /dev/null
