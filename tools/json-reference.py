#!/usr/bin/env python3
"""Makes docs/json.md: what the JSON of each command is made of, read from the types that it is written from.

    python3 tools/json-reference.py > docs/json.md

The types are those of crates/planlease-documents, of the sidecar, of the settings and of the run reports; their doc comments are the descriptions.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "crates/planlease-documents/src").rglob("*.rs")) + [
    ROOT / "crates/planlease-cli/src/command/context/view.rs",
    *sorted((ROOT / "crates/planlease-sidecar/src").rglob("*.rs")),
    ROOT / "crates/planlease-core/src/deeds.rs",
    ROOT / "crates/planlease-core/src/summary.rs",
    ROOT / "crates/planlease-core/src/standing.rs",
    *(ROOT / f"crates/planlease-core/src/{name}.rs" for name in ("record", "spec")),
    *sorted(path for name in ("record", "spec") for path in (ROOT / f"crates/planlease-core/src/{name}").glob("*.rs")),
]

PLAIN = {
    "String": "text", "str": "text", "char": "text", "bool": "true or false",
    "PlanName": "text", "LockName": "text", "TaskId": "text", "OrchestratorId": "text", "WorktreeName": "text", "HostName": "text",
    "FencingToken": "text, `1.7`", "Time": "text, RFC 3339 in UTC", "Revision": "number", "TermNumber": "number",
    "Uuid": "text", "TaskStatus": "`pending`, `in_progress`, `completed`, `failed` or `skipped`",
    "Value": "any", "PathBuf": "text", "Duration": "number, in seconds",
    "PlanState": "`needs_decision`, `failed`, `stuck`, `running`, `waiting`, `paused`, `done`, `cancelled` or `archived`",
    "Halt": "`paused`, `cancelled` or `archived`",
    "Why": "`dependency`, `sequence`, `phase_sequence` or `pipeline_start`",
}
NUMBER = re.compile(r"^(u|i|f)(8|16|32|64|128|size)$")


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Type:
    def __init__(self, kind, name, attributes, body, where):
        self.kind, self.name, self.attributes, self.body, self.where = kind, name, attributes, body, where


def read():
    types, schemas = {}, []
    for path in SOURCES:
        if not path.exists() or path.name in ("tests.rs", "fixture.rs"):
            continue
        text = path.read_text()
        pattern = r"((?:[ ]*(?:///|#\[)[^\n]*\n)*)[ ]*(?:pub(?:\([^)]*\))? )?(struct|enum) (\w+)(?:<[^>]*>)?(?: where[^{]*)? ?\{\n(.*?)\n\}"
        for attributes, kind, name, body in re.findall(pattern, text, re.S):
            types.setdefault((path, name), Type(kind, name, attributes, body, path))
        # What a list's lines are is named where they are written.
        for name, body in re.findall(r"impl(?:<[^>]*>)? Document for (\w+)(?:<[^>]*>)? \{\n(.*?)\n\}", text, re.S):
            schema = re.search(r'SCHEMA: Option<&\'static str> = Some\(\s*"(planlease[^"]+)"', body)
            each = re.search(r'each(?:_readable)?\(\s*"(planlease[^"]+)",\s*&self\.(\w+)', body)
            if schema:
                line = each and each.group(1) != schema.group(1) and (each.group(1), each.group(2))
                schemas.append((schema.group(1), name, path, line or None))
        for name, schema in re.findall(
            r"impl Own for (\w+)(?:<[^>]*>)? \{\n    const SCHEMA: &'static str = \"(planlease[^\"]+)\"", text
        ):
            if all(known != schema for known, *_ in schemas):  # Else it is the command line's, with more fields.
                schemas.append((schema, name, path, None))
    return types, schemas


class Writer:
    def __init__(self, types):
        self.types = types
        self.lines = []

    def find(self, name, where):
        if (where, name) in self.types:
            return self.types[where, name]
        found = [one for (_, other), one in self.types.items() if other == name]
        return found[0] if len(found) == 1 or found and found[0].where.match("*core*") else (found or [None])[0]

    def of(self, rust, where):
        """What a Rust type is in JSON, and the type to go on with."""
        rust = rust.strip().replace("&'static ", "").replace("&'a ", "").replace("&", "")
        for wrapper in ("Option", "Vec", "Box", "Arc", "BTreeSet", "BTreeMap"):
            match = re.fullmatch(wrapper + r"<(.*)>", rust)
            if match and wrapper == "Option":
                what, inner = self.of(match.group(1), where)
                return what + ", or null", inner
            if match and wrapper in ("Vec", "BTreeSet"):
                what, inner = self.of(match.group(1), where)
                return "list of " + what, inner
            if match and wrapper == "BTreeMap":
                what, inner = self.of(match.group(1).split(",", 1)[1], where)
                return "object, names to " + what, inner
            if match:
                return self.of(match.group(1), where)
        rust = rust.split("::")[-1].split("<")[0]
        if rust in PLAIN:
            return PLAIN[rust], None
        if NUMBER.match(rust):
            return "number", None
        inner = self.find(rust, where)
        if inner is None:
            return "text", None
        if inner.kind == "enum" and not re.search(r"[({]", re.sub(r"#\[[^\]]*\]|///[^\n]*", "", inner.body)):
            names = [snake(name) for name in re.findall(r"^\s*(\w+),?$", inner.body, re.M)]
            return " or ".join(f"`{name}`" for name in names), None
        return "object", inner

    def fields(self, body, where, depth, seen):
        doc, flat, skip = [], False, False
        for line in body.splitlines():
            line = line.strip()
            if line.startswith("///"):
                doc.append(line[3:].strip())
                continue
            if line.startswith("#["):
                flat = flat or "flatten" in line
                skip = skip or re.search(r"serde\(skip\)", line) is not None
                rename = re.search(r'rename = "([^"]+)"', line)
                if rename:
                    doc.insert(0, "\0" + rename.group(1))
                continue
            match = re.match(r"(?:pub(?:\([^)]*\))? )?(\w+): (.+?),?$", line)
            if not match:
                continue
            name, rust = match.groups()
            if doc and doc[0].startswith("\0"):
                name = doc.pop(0)[1:]
            what, inner = self.of(rust, where)
            if flat and inner is not None:
                self.of_type(inner, depth, seen)
            elif not skip and not flat:
                told = " ".join(doc).replace("`None`", "null")
                told = re.sub(r"\[`([^`\]]+)`\](\([^)]*\))?", r"`\1`", told)
                self.lines.append("  " * depth + f"- `{name}`: {what}" + (f". {told}" if told else ""))
                if inner is not None and inner.name not in seen:
                    self.of_type(inner, depth + 1, seen | {inner.name})
            doc, flat, skip = [], False, False

    def of_type(self, one, depth, seen):
        if one.kind == "struct":
            self.fields(one.body, one.where, depth, seen)
            return
        tag = re.search(r'tag = "(\w+)"', one.attributes)
        for doc, name, body in re.findall(
            r"((?:[ ]*(?:///|#\[)[^\n]*\n)*)    (\w+)(?: \{\n(.*?)\n    \}|\([^\n]*\))?,?(?:\n|$)", one.body, re.S
        ):
            told = " ".join(line.strip()[3:].strip() for line in doc.splitlines() if line.strip().startswith("///"))
            label = f"with `{tag.group(1)}` = `{snake(name)}`" if tag else f"`{snake(name)}`"
            self.lines.append("  " * depth + f"- {label}" + (f": {told}" if told else ""))
            tuple_of = re.search(r"    " + name + r"\(([^)\n]+)\)", one.body)
            if body:
                self.fields(body, one.where, depth + 1, seen)
            elif tuple_of:
                _, inner = self.of(tuple_of.group(1), one.where)
                if inner is not None and inner.name not in seen:
                    self.of_type(inner, depth + 1, seen | {inner.name})


RUN = ROOT / "crates/planlease-cli/src/command/run/follow.rs"


def run_events():
    """The events of `run -o jsonl`, which are written field by field."""
    print("## planlease.run.v1\n\n`run -o jsonl`: what an orchestrator does, one event a line, each with its time `at`.\n")
    for fields in re.findall(r'json!\(\{"schema": schema, (.*?)\}\)', RUN.read_text(), re.S):
        names = re.findall(r'"(\w+)":', fields)
        event = re.search(r'"event": "(\w+)"', fields).group(1)
        others = ", ".join(f"`{name}`" for name in names if name != "event")
        print(f"- with `event` = `{event}`: {others}")
    print()


def main():
    types, schemas = read()
    print("# JSON\n")
    print("Made by `tools/json-reference.py` from the types that the JSON is written from.\n")
    print("The sidecar's answers are documents of the same kind; what only it has says so.\n")
    print("Every reading command has `-o json` (one document) and `-o jsonl` (one object a line: each item of a list, or the")
    print("whole document). `run`, `watch` and `logs` are streams, of which both are JSON Lines: one object a line for each event. Each names its schema first, `\"schema\": \"planlease.status.v1\"`. Within a version fields may be")
    print("added, and nothing else changes; whatever else has to change gets another version. Fields that are `null` are there.")
    print("Times are text in RFC 3339, in UTC; durations are in seconds. Examples of all are the snapshots in")
    print("[`crates/planlease-documents`](../crates/planlease-documents/src/snapshots).\n")
    for schema, name, path, line in sorted(schemas):
        writer = Writer(types)
        one = writer.find(name, path)
        print(f"## {schema}\n")
        module = re.match(r"//! ([^\n]*(?:\n//! [^\n]+)*)", path.read_text())
        if "planlease-sidecar" in str(path):
            print("The sidecar's: see [sidecar.md](sidecar.md).\n")
        elif module:
            print(module.group(1).replace("\n//! ", "\n").strip() + "\n")
        if line:
            print(f"With `-o jsonl`, each of `{line[1]}` is a `{line[0]}`.\n")
        if one is not None:
            writer.of_type(one, 0, {name})
        print("\n".join(writer.lines) + "\n")
    run_events()


if __name__ == "__main__":
    sys.exit(main())
