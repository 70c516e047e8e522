"""Tests of what runs planlease on hosts and in containers: systemd's units, the images, the build context.

    SYSTEMD_ANALYZE=/usr/bin/systemd-analyze python3 -m unittest discover -s tests/outside

It takes systemd-analyze and pyyaml; `cargo xtask outside` gets both.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
SYSTEMD_ANALYZE = os.environ.get("SYSTEMD_ANALYZE", "systemd-analyze")
DIGEST = re.compile(r"^[^@ ]+:[^@: ]+@sha256:[0-9a-f]{64}$")
# In tenths, as systemd-analyze has it: a unit above it is not confined enough.
EXPOSURE = 29


def systemd_analyze(*args: str) -> subprocess.CompletedProcess[str]:
    # One that was unpacked and not installed does not find its libraries by itself.
    libraries = {"LD_LIBRARY_PATH": os.environ["SYSTEMD_LIBRARIES"]} if "SYSTEMD_LIBRARIES" in os.environ else {}
    command = [SYSTEMD_ANALYZE, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | libraries)


def git(*args: str) -> list[str]:
    return subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


class Units(unittest.TestCase):
    def test_units_are_confined(self) -> None:
        units = sorted((ROOT / "docs/systemd").glob("*.service"))
        self.assertTrue(units)
        for unit in units:
            with self.subTest(unit.name):
                ended = systemd_analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}", str(unit))
                # Without this line nothing was measured.
                self.assertIn("Overall exposure level", ended.stdout, ended.stderr)
                self.assertEqual(ended.returncode, 0, ended.stdout[-400:])

    def test_units_have_no_mistakes(self) -> None:
        """Unknown keys and values; a program that is not installed here is none."""
        for unit in sorted((ROOT / "docs/systemd").glob("*.service")):
            with self.subTest(unit.name):
                ended = systemd_analyze("verify", str(unit))
                said = [line for line in ended.stderr.splitlines() if unit.name in line and "is not executable" not in line]
                self.assertEqual(said, [])


class Images(unittest.TestCase):
    def test_base_images_are_pinned_by_digest(self) -> None:
        dockerfiles = [ROOT / name for name in git("ls-files") if re.search(r"(^|/)Dockerfile[^/]*$", name)]
        self.assertGreaterEqual(len(dockerfiles), 3)
        for file in dockerfiles:
            text = file.read_text()
            stages = set(re.findall(r"(?im)^FROM\s+\S+\s+AS\s+(\S+)", text)) | {"scratch"}
            bases = re.findall(r"(?im)^(?:FROM|COPY\s+--from=)\s*(\S+)", text)
            for base in bases:
                default = re.search(rf"(?m)^ARG {base[2:-1]}=(\S+)$", text) if base.startswith("${") else None
                base = default.group(1) if default else base.removeprefix("--from=")
                with self.subTest(file.name, base=base):
                    self.assertTrue(base in stages or DIGEST.match(base), base)

    def test_images_of_others_in_compose_are_pinned_by_digest(self) -> None:
        ours = {"planlease", "planlease-orchestrator"}
        for service in yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"].values():
            default = re.fullmatch(r"\$\{\w+:-(.+)\}", service["image"])
            image = default.group(1) if default else service["image"]
            with self.subTest(image):
                self.assertTrue(image in ours or DIGEST.match(image), image)

    def test_images_bring_certificate_authorities(self) -> None:
        for name in ("Dockerfile", "Dockerfile.prebuilt"):
            with self.subTest(name):
                last = (ROOT / "docker" / name).read_text().split("FROM scratch")[-1]
                self.assertRegex(last, r"(?m)^COPY .* /etc/ssl/certs/ca-certificates\.crt$")


def sent(folder: Path, files: list[str]) -> list[str]:
    """The files that docker sends of this folder. It knows the patterns in use: `*`, `!path`, `**/name`."""
    rules = [line.strip() for line in (folder / ".dockerignore").read_text().splitlines()]
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    found = []
    for file in files:
        parts = file.split("/")
        prefixes = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        out = False
        for rule in rules:
            pattern = rule.removeprefix("!")
            if pattern.startswith("**/"):
                matches = any(fnmatch(part, pattern[3:]) for part in parts)
            else:
                matches = pattern == "*" or pattern in prefixes
            if matches:
                out = not rule.startswith("!")
        if not out:
            found.append(file)
    return found


class Context(unittest.TestCase):
    def test_what_is_sent_is_what_is_built(self) -> None:
        tracked = sent(ROOT, git("ls-files"))
        with tempfile.TemporaryDirectory() as folder:
            for file in tracked:
                to = Path(folder) / file
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, to)
            # Every member of the workspace is there, and the lock file fits.
            command = ["cargo", "metadata", "--no-deps", "--locked", "--offline", "--format-version=1"]
            ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            # And every file that the program has in it. Tests are not built.
            for source in (file for file in tracked if re.match(r"crates/.*/src/.*\.rs$", file)):
                if source.endswith("tests.rs") or "/tests/" in source:
                    continue
                for named in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', (ROOT / source).read_text()):
                    with self.subTest(source, named=named):
                        self.assertTrue((Path(folder) / source).parent.joinpath(named).is_file())

    def test_nothing_else_is_sent(self) -> None:
        private = [".git/config", "target/debug/planlease", "tests/fuzz/target/x", ".env", "crates/planlease/.env", "server.key",
                   "crates/planlease/tls/server.key", "tests/ca.pem", "clients/node/node_modules/a/index.js", "notes.txt"]
        self.assertEqual(sent(ROOT, private), [])
        python = ROOT / "clients/python"
        self.assertEqual(sent(python, [".git/config", ".env", "planlease/__pycache__/x.pyc", "tests/test_client.py"]), [])
        self.assertEqual(sent(python, ["planlease/__init__.py", "examples/orchestrator.py"]),
                         ["planlease/__init__.py", "examples/orchestrator.py"])


if __name__ == "__main__":
    unittest.main()
