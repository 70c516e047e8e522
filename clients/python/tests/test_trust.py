"""For how long a session can be relied on: counted from the sending of requests, by a clock that never stands still."""

import sys
import threading
import time
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER), str(FOLDER / "tests")]
from fake import FakeSidecar, begin_events, chunk, document, event  # noqa: E402
from planlease import Client, OwnershipLost, _clock  # noqa: E402


class SlowSidecar(FakeSidecar):
    """One whose answers about the plan `p` come late, and which says something on its streams when the test does."""

    def __init__(self, delay: float = 0.0, trusted: float = 60.0) -> None:
        self.more = threading.Event()
        self.trusted = trusted
        self.confirmed = 0
        self.owned = True
        self.say: list[str] = []

        def answer(handler):
            time.sleep(delay)
            if handler.command == "POST":
                begin_events(handler)
                chunk(handler, event("session", {"session": "s", "orchestrator": "me", "trusted_for_s": trusted}))
                chunk(handler, event("granted", {"token": "1.1", "trusted_for_s": trusted}))
                while True:
                    for name in self.say:
                        chunk(handler, event(name, {}))
                    self.say = []
                    if self.more.wait(0.1):
                        self.more.clear()
                        chunk(handler, event("trusted", {"trusted_for_s": trusted}))
                    chunk(handler, b": heartbeat\n\n")
            elif handler.command == "GET":
                plans = [{"plan": "p", "trusted_for_s": self.trusted}] if self.owned else []
                self.confirmed += 1
                document(handler, {"trusted_for_s": self.trusted, "plans": plans})
            else:
                document(handler, {})

        super().__init__(answer)
        self.client = Client(address=f"127.0.0.1:{self.port}")

    def until(self, condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.01)


class TrustTest(unittest.TestCase):
    def tearDown(self) -> None:
        _clock.CLOCKS = CLOCKS

    def test_trust_counts_from_the_sending_of_the_request(self) -> None:
        with SlowSidecar(delay=1.0) as sidecar, sidecar.client.own("p") as plan:
            self.assertLessEqual(plan.trusted_for(), 59.0)
            self.assertGreater(plan.trusted_for(), 1.0)

    def test_an_event_that_waited_in_the_connection_extends_nothing(self) -> None:
        now = [1000.0]
        _clock.CLOCKS = (lambda: now[0],)
        with SlowSidecar() as sidecar, sidecar.client.own("p") as plan:
            self.assertEqual(plan.trusted_for(), 60.0)
            # The sidecar answers no more, but its last event arrives now.
            now[0] += 59.0
            sidecar.trusted = 1.0
            before = sidecar.confirmed
            sidecar.more.set()
            sidecar.until(lambda: sidecar.confirmed > before)
            self.assertLessEqual(plan.trusted_for(), 1.0)

    def test_a_drain_is_reported_until_it_is_undone(self) -> None:
        with SlowSidecar() as sidecar, sidecar.client.own("p") as plan:
            self.assertFalse(plan.draining.is_set())
            sidecar.say = ["draining"]
            sidecar.until(plan.draining.is_set)
            sidecar.say = ["undrained"]
            sidecar.until(lambda: not plan.draining.is_set())
            self.assertFalse(plan.lost.is_set())

    def test_a_renewal_extends_the_trust(self) -> None:
        now = [1000.0]
        _clock.CLOCKS = (lambda: now[0],)
        with SlowSidecar() as sidecar, sidecar.client.own("p") as plan:
            now[0] += 40.0
            sidecar.more.set()
            sidecar.until(lambda: plan.trusted_for() == 60.0)

    def test_the_end_of_the_trust_ends_the_ownership(self) -> None:
        now = [1000.0]
        _clock.CLOCKS = (lambda: now[0],)
        told = threading.Event()
        with SlowSidecar() as sidecar:
            plan = sidecar.client.own("p", on_lost=lambda why: told.set())
            now[0] += 60.0  # A suspend, for the clock that counts it.
            self.assertEqual(plan.trusted_for(), 0.0)
            with self.assertRaises(OwnershipLost):
                plan.claim()
            self.assertTrue(plan.lost.wait(20) and told.wait(20))
            plan.release()

    def test_a_plan_that_the_session_does_not_own_any_more_is_lost(self) -> None:
        with SlowSidecar() as sidecar, sidecar.client.own("p") as plan:
            sidecar.owned = False
            sidecar.more.set()
            self.assertTrue(plan.lost.wait(20))
            self.assertIn("does not own", plan.why)

    def test_the_clock_that_counted_the_most_decides(self) -> None:
        slow, fast = [0.0], [0.0]
        _clock.CLOCKS = (lambda: slow[0], lambda: fast[0])
        moment = _clock.Moment()
        slow[0], fast[0] = 1.0, 9.0
        self.assertEqual(moment.elapsed(), 9.0)
        slow[0], fast[0] = 1.0, -9.0
        self.assertEqual(moment.elapsed(), 1.0)

    @unittest.skipUnless(hasattr(time, "CLOCK_BOOTTIME"), "this system has no CLOCK_BOOTTIME")
    def test_the_clock_counts_while_the_host_is_suspended(self) -> None:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        read = [clock() for clock in CLOCKS]
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.assertTrue(any(before <= one <= after for one in read), (before, read, after))


CLOCKS = _clock.CLOCKS

if __name__ == "__main__":
    unittest.main()
