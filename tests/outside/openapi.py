"""Asks a real sidecar everything that its own description allows, and much that it does not (schemathesis).

    SCHEMATHESIS=/path/to/schemathesis python3 tests/outside/openapi.py target/debug/planlease

No answer may be a failure of the server, of an undescribed status or shape, or accept what the description forbids. `cargo
xtask outside` gets schemathesis and runs this.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOKEN = "a-token-of-this-test"
PLAN = Path(__file__).resolve().parent.parent.parent / "examples/plans/host-checkup.toml"


def wait_for(process: subprocess.Popen, log: Path, pattern: str) -> str:
    """What the process says that fits the pattern."""
    for _ in range(200):
        found = re.search(pattern, log.read_text())
        if found:
            return found.group(1)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"no {pattern} in:\n{log.read_text()}")


def main() -> int:
    program, folder = os.path.abspath(sys.argv[1]), Path(tempfile.mkdtemp(prefix="planlease-openapi-"))
    environment = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    (folder / "token").write_text(TOKEN + "\n")
    running = []

    def start(name: str, *args: str) -> tuple[subprocess.Popen, Path]:
        log = folder / name
        with log.open("w") as output:
            process = subprocess.Popen([program, *args], stdout=output, stderr=output, env=environment)
        running.append(process)
        return process, log

    try:
        etcd = wait_for(*start("dev", "dev", "--listen", "127.0.0.1:0"), r"(127\.0\.0\.1:\d+)")
        environment["PLANLEASE_ENDPOINTS"] = etcd
        subprocess.run([program, "plan", "import", str(PLAN), "--name", "0"], env=environment, check=True)
        described = subprocess.run([program, "sidecar", "openapi"], capture_output=True, check=True).stdout
        json.loads(described)
        (folder / "openapi.json").write_bytes(described)
        flags = ["--listen", "127.0.0.1:0", "--token-file", str(folder / "token"), "--grace", "1s"]
        flags += ["--max-requests-per-second", "100000"]
        address = wait_for(*start("sidecar", "sidecar", *flags), r"(http://127\.0\.0\.1:\d+)")
        command = [os.environ.get("SCHEMATHESIS", "schemathesis"), "run", str(folder / "openapi.json"), "--url", address]
        command += ["-H", f"Authorization: Bearer {TOKEN}", "-H", "planlease-request: true"]
        # Streams do not end, and a sidecar that drains has nothing more to say. That a name is refused which the description
        # allows (it cannot say it all) is no finding.
        command += ["--exclude-path", "/v1/events", "--exclude-path", "/v1/drain"]
        # A load balancer's probe: 503 is its answer, and no error of the server's.
        command += ["--exclude-path", "/v1/plans/{plan}/owned-here"]
        command += ["--exclude-checks", "positive_data_acceptance", "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", "30", "--request-timeout", "20", "--seed", "1"]
        return subprocess.run(command, check=False, cwd=folder).returncode
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(timeout=20)


if __name__ == "__main__":
    sys.exit(main())
