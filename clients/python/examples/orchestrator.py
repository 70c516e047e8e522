#!/usr/bin/env python3
"""Executes a plan: owns it, claims what is ready, runs each task's command, says how it went.

    python3 orchestrator.py SOCKET PLAN [JOBS]

Start it twice: the second one waits in the queue, and continues where the first one stopped.
"""

import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from planlease import Client, Ownership, OwnershipLost, Problem, Task  # noqa: E402


def run(plan: Ownership, task: Task) -> None:
    """Runs the command of one task; ends it if the plan is lost."""
    process = subprocess.Popen(task.command or ["true"], text=True, stderr=subprocess.PIPE)
    while process.poll() is None:
        if plan.lost.wait(timeout=0.05):
            process.kill()
            return
    error = process.stderr.read() if process.stderr else ""
    if process.returncode == 0:
        plan.complete(task)
    else:
        plan.fail(task, f"status {process.returncode}: {error[-500:]}")
    print(f"{task.id} ended with {process.returncode}", flush=True)


def main() -> int:
    client, name, jobs = Client(socket=sys.argv[1]), sys.argv[2], int((sys.argv[3:] or ["2"])[0])
    with client.own(name) as plan, ThreadPoolExecutor(jobs) as pool:
        print(f"owns {name}, token {plan.token}", flush=True)
        running: set[Future[None]] = set()
        while not (status := client.status(name))["finished"]:
            tasks = plan.claim(jobs - len(running)) if len(running) < jobs else []
            for task in tasks:
                running.add(pool.submit(run, plan, task))
            if not running and not tasks:
                if status["summary"]["failed"]:
                    return 1
                time.sleep(0.5)  # Another process works on a task.
            ended, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            for one in ended:
                one.result()
    print(f"{name} is finished", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OwnershipLost, Problem) as error:
        sys.exit(f"{type(error).__name__}: {error}")
