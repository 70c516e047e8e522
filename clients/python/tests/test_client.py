"""Tests of the client on a real sidecar, which the variable PLANLEASE_SIDECAR names, with the plan `work`."""

import os
import sys
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from planlease import ClaimLost, Client, OwnershipLost, Problem, SessionLost, Unreachable  # noqa: E402


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = Client(socket=os.environ["PLANLEASE_SIDECAR"])

    def test_a_plan_is_one_owners_at_a_time(self) -> None:
        with self.client.own("work", name="python-1") as plan:
            self.assertRegex(plan.token, r"^1\.\d+$")
            self.assertGreater(plan.trusted_for(), 1.0)
            with self.assertRaises(Problem) as refused:
                self.client.own("work", wait=0)
            self.assertEqual(refused.exception.kind, "held")
        self.assertTrue(plan.lost.is_set())
        self.assertEqual(plan.trusted_for(), 0.0)
        with self.assertRaises(OwnershipLost):
            plan.claim()

    def test_a_loss_is_told(self) -> None:
        told = threading.Event()
        with self.client.own("work", name="python-2", on_lost=lambda why: told.set()) as plan:
            task = plan.claim()[0]
            plan.progress(task, "half")
            path = f"/v1/plans/work/tasks/{task.id}"
            said = self.client.ask("PATCH", path, b'{"change": "progress", "progress": "by its right, elsewhere"}',
                                   {"if-match": "*", "planlease-session": plan._session})
            self.assertEqual(plan.progress(task, "more")["record"]["progress"], "more")
            self.assertGreater(plan.progress(task, "most")["record"]["revision"], said["record"]["revision"])
            force = b'{"expected": "python-2", "reason": "a test"}'
            self.client.ask("POST", "/v1/plans/work/owner/release", force, {})
            self.assertTrue(plan.lost.wait(timeout=10))
            self.assertTrue(told.wait(timeout=10))
            with self.assertRaises(OwnershipLost):
                plan.complete(task)

    def test_a_worker_executes_tasks_of_another_programs_plan(self) -> None:
        owner = self.client.own("work", name="python-owner")
        with owner, self.client.work("work", name="python-worker") as worker:
            self.assertEqual(worker.name, "python-worker")
            self.assertGreater(worker.trusted_for(), 1.0)
            done, failed, returned, taken = worker.claim(4)
            self.assertEqual(worker.progress(done, "half")["record"]["written_as"], "worker")
            self.assertEqual(worker.complete(done, "done")["record"]["status"], "completed")
            self.assertEqual(worker.fail(failed, "why")["record"]["error"], "why")
            worker.give_back(returned, "no time")
            with self.assertRaises(ClaimLost):
                worker.complete(returned)
            self.assertFalse(taken.lost.is_set())
            owner.fail(taken, "it takes too long")
            self.assertTrue(taken.lost.wait(timeout=10))
            with self.assertRaises(ClaimLost) as refused:
                worker.progress(taken, "more")
            self.assertIn(refused.exception.kind, ("wrong-state", "stale-attempt"))
            self.assertFalse(done.lost.is_set() or failed.lost.is_set() or worker.lost.is_set())
            (last,) = worker.claim()
        self.assertTrue(worker.lost.is_set() and last.lost.is_set())
        with self.assertRaises(SessionLost):
            worker.complete(last)

    def test_hostile_text_reaches_subscribers(self) -> None:
        hostile = "a\u2028b\u2029c\u0085d\r\ne\rf\x0bg\x1ch\ufeffi\U0001f680"
        events = self.client.events(plans=["work"])
        next(events)
        with self.client.own("work") as plan:
            (task,) = plan.claim()
            plan.progress(task, hostile)
            for event in events:
                changes = [change for change in event.data["changes"] if change["change"] == "task"]
                if any(change["progress"] == hostile for change in changes):
                    break
            plan.give_back(task, "only a test")

    def test_events_come_in_order(self) -> None:
        events = self.client.events(plans=["work"])
        snapshot = next(events)
        self.assertEqual(snapshot.name, "snapshot")
        with self.client.own("work") as plan:
            task = plan.claim()[0]
            plan.give_back(task, "only a test")
        seen = []
        for event in events:
            seen.append(event.id)
            changes = [change for change in event.data["changes"] if change["change"] == "task"]
            if any(change["status"] == "pending" and change["attempt"] > 0 for change in changes):
                break
        self.assertEqual(seen, sorted(set(seen)))
        self.assertGreater(seen[0], snapshot.id)

    def test_refusals_and_silence_are_different(self) -> None:
        with self.assertRaises(Problem) as refused:
            self.client.status("no-such-plan")
        self.assertEqual((refused.exception.status, refused.exception.kind), (404, "no-such-plan"))
        with self.assertRaises(Unreachable):
            Client(socket="/nowhere").ask("GET", "/livez", None, {})
        with self.assertRaises(Problem):
            self.client.import_plan("another", "")
        with self.assertRaises(ValueError):
            Client()


if __name__ == "__main__":
    unittest.main()
