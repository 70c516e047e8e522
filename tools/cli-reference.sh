#!/bin/sh
# Writes the reference of the command line, made of the program's own help:
#
#     tools/cli-reference.sh target/debug/planlease > docs/cli.md
#
# Each command's page is `planlease COMMAND --help`. What all pages share (the connection, -v, --color, -h) stands on
# the first page only.
set -eu
program=$1

# Without the environment: help shows what variables are set to.
help() { env -i "$program" "$@" --help; }

# The names of the commands below this one.
commands() { help "$@" | awk '/^Commands:/ { on = 1; next } /^[^ ]/ { on = 0 } on && /^  [a-z]/ && $1 != "help" { print $1 }'; }

# Leaves out what the first page has said: the shared options, the name of each flag's variable.
own() {
  awk '
    /^[^ ]/ { connection = /^Connection:/; shared = 0 }
    connection { next }
    /^  (    )?-/ { shared = /-v, --verbose|--color <|-h, --help/ }
    shared || /^ +\[env: / { next }
    /^Options:/ { options = 1; next }
    options && NF { options = 0; if (/^ /) print "Options:" }
    { sub(/ +$/, ""); print }
  ' | cat -s | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

page() {
  level=$1
  shift
  printf '\n%s `planlease%s`\n\n```text\n' "$level" "$(printf ' %s' "$@")"
  help "$@" | own
  printf '```\n'
  for command in $(commands "$@"); do
    (page "$level#" "$@" "$command") # In a shell of its own: it has variables of the same names.
  done
}

cat <<'HEAD'
# The command line

<!-- Made by tools/cli-reference.sh from the program's own help. Do not edit. -->

Every flag can also be given as a variable, `--expect-revision` as `PLANLEASE_EXPECT_REVISION`. A flag beats a variable,
a variable beats the context of the configuration file, that beats the default. What fits after each command is shown
below; the options of the first page (the connection, `-v`, `--color`, `-h`) fit everywhere.

The [exit statuses](#planlease) are part of the interface: they do not change. What `-o json` and `-o jsonl` print names
its schema (`planlease.status.v1`); fields may be added to it.

## `planlease`

```text
HEAD
help
printf '```\n'
for command in $(commands); do
  page '##' "$command"
done
