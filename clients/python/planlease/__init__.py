"""A client of the planlease sidecar. The standard library is all it needs.

    from planlease import Client

    client = Client(socket="/run/planlease/sidecar.sock")
    with client.own("release") as plan:          # waits in line; released at the end of the block
        for task in plan.claim(4):
            plan.complete(task, notes="done")

The plan is owned for as long as the block runs, and not a moment longer than it can be believed in: everything that is
asked by its right raises `OwnershipLost` once it is over, `plan.lost` is set, and `on_lost` is called. When this process
dies, its connection closes, and the next one in line owns the plan some milliseconds later.

Errors: `Problem` is an answer that is a refusal, `Unreachable` is no answer. An update whose answer was lost is asked for
again with the same Idempotency-Key, so that it is done once.
"""

from __future__ import annotations

import http.client
import json
import socket as sockets
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Client", "Event", "Ownership", "OwnershipLost", "Problem", "Task", "Unreachable"]

TRIES = 5
"""How often an update is asked for while no answer comes."""

PAUSE = 0.2
"""The pause between two tries, in seconds; twice as long each time."""


class Unreachable(Exception):
    """No answer came. An update was asked for again and again; whether it was done is not known."""


class Problem(Exception):
    """The sidecar says no (RFC 9457). `kind` is the end of its type, as `stale-revision`."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.document = document
        self.kind = str(document.get("type", "")).rsplit(":", 1)[-1]
        super().__init__(document.get("detail") or document.get("title") or f"status {status}")


class OwnershipLost(Exception):
    """The plan is somebody else's by now, or nobody's. What was done by its right has to stop."""


@dataclass(frozen=True)
class Task:
    """A claimed task."""

    id: str
    attempt: int
    revision: int
    description: str
    steps: list[str]
    command: list[str] | None


@dataclass(frozen=True)
class Event:
    """An event of a stream. `id` is the revision; `data` is the document."""

    id: int | None
    name: str
    data: dict[str, Any]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """A sidecar: by its unix socket, or by its address and the token. Can be shared by threads.

    `timeout`: how long an answer may take that waits for nothing, in seconds.
    """

    def __init__(
        self,
        socket: str | None = None,
        address: str | None = None,
        token: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        if (socket is None) == (address is None):
            raise ValueError("say either socket or address")
        self._socket = socket
        self._address = address
        self._token = token
        self._timeout = timeout

    def plans(self) -> list[dict[str, Any]]:
        """All plans, how far they are and who owns them."""
        plans: list[dict[str, Any]] = self.get("/v1/plans")["plans"]
        return plans

    def status(self, plan: str) -> dict[str, Any]:
        """How far a plan is."""
        return self.get(f"/v1/plans/{_quote(plan)}/status")

    def import_plan(self, plan: str, text: str, kind: str = "text/markdown") -> dict[str, Any]:
        """Makes a plan of the text of a plan file. Again with the same text, it stays as it is."""
        path = f"/v1/plans/{_quote(plan)}"
        return self.ask("PUT", path, text.encode(), {"content-type": kind})

    def own(
        self,
        plan: str,
        name: str | None = None,
        wait: float | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> Ownership:
        """Owns a plan; waits in line for it, for `wait` seconds or as long as it takes.

        `name` is what others see; it names one incarnation of this program. `on_lost` is called, in a thread of its own, when
        the ownership is lost. Raises `Problem` of kind `held` if the time to wait is up.
        """
        return Ownership(self, plan, name, wait, on_lost)

    def events(self, plans: list[str] | None = None, after: int | None = None) -> Iterator[Event]:
        """Every change, in order, none twice and none left out, over any number of broken connections.

        The first one is a snapshot, unless `after` says from which revision to go on; and if too much was missed, there is
        another one, named `resync`.
        """
        query = "" if plans is None else "?" + urllib.parse.urlencode({"plan": ",".join(plans)})
        pause = PAUSE
        while True:
            headers = {} if after is None else {"last-event-id": str(after)}
            try:
                for event in self.stream("GET", f"/v1/events{query}", None, headers):
                    pause = PAUSE
                    after = event.id if event.id is not None else after
                    yield event
            except Unreachable:
                pass
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def get(self, path: str) -> dict[str, Any]:
        """Reads a document. Asked for again while no answer comes: to read twice does no harm."""
        return self._insist("GET", path, None, {})

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        """Asks once. Raises `Problem`, or `Unreachable`; after that it may have been done."""
        connection = self._connection(self._timeout)
        try:
            answer = self._send(connection, method, path, body, headers)
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        document = json.loads(text) if text else {}
        if answer.status >= 400:
            raise Problem(answer.status, document)
        return document

    def stream(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[Event]:
        """Asks for a stream of events. Its end is the end of the iteration; `Unreachable` if it breaks."""
        connection = self._connection(self._timeout)
        try:
            yield from self._events(connection, method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error}") from error
        finally:
            connection.close()

    def _events(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> Iterator[Event]:
        answer = self._send(connection, method, path, body, {**headers, "accept": "text/event-stream"})
        if answer.status >= 400:
            raise Problem(answer.status, json.loads(answer.read() or b"{}"))
        fields: dict[str, str] = {}
        while line := answer.readline():
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "event" in fields:
                number = int(fields["id"]) if "id" in fields else None
                yield Event(number, fields["event"], json.loads(fields.get("data", "{}")))
                fields = {}

    def _insist(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        pause = PAUSE
        for _ in range(TRIES - 1):
            try:
                return self.ask(method, path, body, headers)
            except Unreachable:
                pass
            except Problem as problem:
                if problem.kind not in ("unavailable", "outcome-unknown", "too-many"):
                    raise
            time.sleep(pause)
            pause *= 2
        return self.ask(method, path, body, headers)

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        if self._socket is not None:
            return _UnixConnection(self._socket, timeout)
        return http.client.HTTPConnection(self._address or "", timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        headers = {"planlease-request": "true", "host": "localhost", **headers}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        connection.request(method, path, body, headers)
        return connection.getresponse()


class Ownership:
    """The right to one plan, for as long as its connection stands. Made by `Client.own`; a context manager."""

    def __init__(
        self,
        client: Client,
        plan: str,
        name: str | None,
        wait: float | None,
        on_lost: Callable[[str], None] | None,
    ) -> None:
        self.plan = plan
        self.token: str = ""
        """The fencing token: show it to whatever has to refuse a former owner."""
        self.lost = threading.Event()
        """Set when it is over."""
        self.why = ""
        """Why it is over."""
        self._client = client
        self._path = f"/v1/plans/{_quote(plan)}"
        self._session = ""
        self._revisions: dict[str, int] = {}
        self._until = 0.0
        self._on_lost = on_lost
        self._released = False
        self._connection = client._connection(client._timeout)
        asked = {key: value for key, value in (("id", name), ("wait_s", wait)) if value is not None}
        body = json.dumps(asked).encode()
        headers = {"content-type": "application/json"}
        self._events = client._events(self._connection, "POST", f"{self._path}/ownership", body, headers)
        try:
            self._wait()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(f"{plan}: {error}") from error
        except BaseException:
            self._connection.close()
            raise
        self._reader = threading.Thread(target=self._read, name=f"planlease {plan}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Ownership:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def trusted_for(self) -> float:
        """For how many more seconds it can be believed in, if nothing more is heard; 0 if it is over."""
        return 0.0 if self.lost.is_set() else max(0.0, self._until - time.monotonic())

    def claim(self, count: int = 1, labels: list[str] | None = None) -> list[Task]:
        """Claims up to `count` ready tasks with all of these labels."""
        asked = {"count": count, "labels": labels or []}
        tasks = self._post(f"{self._path}/claims", asked)["tasks"]
        self._revisions.update({task["task"]: task["revision"] for task in tasks})
        fields = ("attempt", "revision", "description", "steps", "command")
        return [Task(task["task"], *(task[field] for field in fields)) for task in tasks]

    def complete(self, task: Task, notes: str | None = None) -> dict[str, Any]:
        """Ends a task well."""
        return self._update(task, {"change": "complete", "notes": notes, "attempt": task.attempt})

    def fail(self, task: Task, error: str) -> dict[str, Any]:
        """Ends a task badly."""
        return self._update(task, {"change": "fail", "error": error, "attempt": task.attempt})

    def give_back(self, task: Task, reason: str) -> dict[str, Any]:
        """Gives a task back unharmed."""
        return self._update(task, {"change": "return", "reason": reason, "attempt": task.attempt})

    def progress(self, task: Task, text: str) -> dict[str, Any]:
        """Says how a task is doing."""
        return self._update(task, {"change": "progress", "progress": text, "attempt": task.attempt})

    def release(self) -> None:
        """Lets go of the plan: the next one in line owns it at once."""
        if self._released:
            return
        self._released = True
        try:
            if not self.lost.is_set():
                self._client.ask("DELETE", f"/v1/sessions/{self._session}", None, {})
        except (Problem, Unreachable):
            pass  # It ends with the connection.
        self._over("it was released")
        self._reader.join(timeout=5.0)
        self._connection.close()

    def _wait(self) -> None:
        for event in self._events:
            self._trust(event)
            if event.name == "session":
                self._session = event.data["session"]
                # From now on the sidecar says every few seconds that it lives.
            elif event.name == "granted":
                self.token = event.data["token"]
                return
            elif event.name == "refused":
                raise Problem(event.data["status"], event.data)
            elif event.name == "over":
                raise OwnershipLost(event.data["why"])
        raise OwnershipLost("the connection was closed")

    def _read(self) -> None:
        why = "the connection was closed"
        try:
            for event in self._events:
                self._trust(event)
                if event.name in ("lost", "over"):
                    why = event.data["why"]
                    break
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"the connection broke: {error}"
        self._over(why)

    def _trust(self, event: Event) -> None:
        seconds = event.data.get("trusted_for_s")
        if seconds is not None:
            self._until = time.monotonic() + seconds

    def _over(self, why: str) -> None:
        if self.lost.is_set():
            return
        self.why = why
        self.lost.set()
        if self._on_lost is not None and not self._released:
            self._on_lost(why)

    def _right(self) -> dict[str, str]:
        if self.trusted_for() <= 0.0:
            raise OwnershipLost(self.why or "it was not heard of for too long")
        return {"planlease-session": self._session, "content-type": "application/json"}

    def _post(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        return self._checked(lambda: self._client.ask("POST", path, json.dumps(asked).encode(), self._right()))

    def _update(self, task: Task, change: dict[str, Any]) -> dict[str, Any]:
        """One update, of the record as it is known; if somebody has written to it meanwhile, of that one."""
        path = f"{self._path}/tasks/{_quote(task.id)}"
        body = json.dumps(change).encode()
        for _ in range(TRIES):
            revision = self._revisions.get(task.id, task.revision)
            headers = {"if-match": f'"{revision}"', "idempotency-key": str(uuid.uuid4())}
            try:
                told = self._checked(
                    lambda: self._client._insist("PATCH", path, body, {**self._right(), **headers})
                )
            except Problem as problem:
                if problem.kind != "stale-revision":
                    raise
                refused = problem
                self._revisions[task.id] = problem.document["revision"]
                continue
            self._revisions[task.id] = told["record"]["revision"]
            return told
        raise refused

    def _checked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return ask()
        except Problem as problem:
            if problem.kind in ("right-gone", "no-such-session"):
                self._over(str(problem))
                raise OwnershipLost(str(problem)) from problem
            raise


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe="")
