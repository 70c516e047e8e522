"""A client of the planlease sidecar. It needs the standard library only.

    from planlease import Client

    client = Client(socket="/run/planlease/sidecar.sock")
    with client.own("release") as plan:          # waits in the queue; released at the end of the block
        for task in plan.claim(4):
            plan.complete(task, notes="done")

`Client.own` returns an `Ownership`, the authority over a plan. `Client.work` returns a `Worker`, which claims and executes
tasks of a plan that another program owns. Both are sessions: they last as long as their connection to the sidecar, and no
longer than they can be relied on. When a session ends, `lost` is set, `on_lost` is called, and its methods raise
`OwnershipLost` or `SessionLost`. If this process dies, its connection closes, and the next program in the queue owns the
plan some milliseconds later.

Reliance is counted from the moment at which a request was *sent* that the sidecar answered, by a clock that also counts
while the host is suspended (`CLOCK_BOOTTIME`; where the system has none, by the monotonic or the wall clock, whichever
says that more time has passed).

Errors: `Problem` is a refusal, `Unreachable` is a missing answer, `Malformed` an answer that cannot be parsed. An update
whose answer was lost is repeated with the same Idempotency-Key, so that it is made once.
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
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ._address import Address, parse
from ._clock import Moment
from ._stream import Parser

__all__ = [
    "ClaimLost",
    "Client",
    "Event",
    "Malformed",
    "Ownership",
    "OwnershipLost",
    "Problem",
    "SessionLost",
    "Task",
    "Unreachable",
    "Worker",
]

TRIES = 5
"""How often a request is sent while no answer comes."""

PAUSE = 0.2
"""The pause between two tries, in seconds; twice as long each time."""

MAX_PAUSE = 5.0
"""The longest pause until a broken stream is opened again, in seconds."""

CHECK = 0.25
"""How often a session checks whether it can still be relied on, in seconds."""

_PASSING = ("unavailable", "outcome-unknown", "timed-out", "too-many")
"""Kinds of problems that end without the client's doing."""


class Unreachable(Exception):
    """No answer came. An update was repeated; whether it was made is not known."""


class Malformed(Exception):
    """The answer, or an event, is not what the sidecar's interface says."""


class Problem(Exception):
    """The sidecar refused the request (RFC 9457). `kind` is the end of the problem's type, as `stale-revision`."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.document = document
        self.kind = str(document.get("type", "")).rsplit(":", 1)[-1]
        super().__init__(document.get("detail") or document.get("title") or f"status {status}")

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        # A proxy in front of the sidecar answers without a type.
        return self.kind in _PASSING or (not self.kind and self.status in (502, 503, 504))


class ClaimLost(Problem):
    """The attempt is over: the task was given back, ended or claimed again. Stop working on it."""


class SessionLost(Exception):
    """The session is over, with everything that it had. Stop all work that depends on it."""


class OwnershipLost(SessionLost):
    """The plan is not this program's any more. Stop all work that depends on it."""


@dataclass(frozen=True)
class Task:
    """A claimed task."""

    id: str
    attempt: int
    revision: int
    description: str
    steps: list[str]
    command: list[str] | None
    lost: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    """Set when the attempt is over without this program's doing."""


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
    """A sidecar. Threads can share it.

    `socket` is the path of its unix socket. `address` is one of `127.0.0.1:7420`, `[::1]:7420`, `http://localhost:7420`,
    `https://sidecar.example` (TLS in front of the sidecar) and `unix:/path`; over TCP the sidecar demands its `token`.
    `timeout` is how long a connection may be silent, in seconds. The sidecar sends something on its streams every few
    seconds.
    """

    def __init__(
        self,
        socket: str | None = None,
        address: str | None = None,
        token: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        if (socket is None) == (address is None):
            raise ValueError("pass either socket or address")
        self._address = Address(socket=socket) if address is None else parse(address)
        self._token = token
        self._timeout = timeout

    def plans(self) -> list[dict[str, Any]]:
        """All plans, with their progress and their owners."""
        plans: list[dict[str, Any]] = self.get("/v1/plans")["plans"]
        return plans

    def status(self, plan: str) -> dict[str, Any]:
        """The progress of a plan."""
        return self.get(f"/v1/plans/{_quote(plan)}/status")

    def import_plan(self, plan: str, text: str, kind: str = "text/markdown") -> dict[str, Any]:
        """Imports the text of a plan file. The same text again changes nothing."""
        path = f"/v1/plans/{_quote(plan)}"
        return self.ask("PUT", path, text.encode(), {"content-type": kind})

    def own(
        self,
        plan: str,
        name: str | None = None,
        wait: float | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> Ownership:
        """Acquires a plan; waits in its queue for `wait` seconds, without a limit by default.

        `name` is what others see; each incarnation of this program needs another one. `on_lost` is called, in another
        thread, with the reason when the ownership is lost. Raises `Problem` of kind `held` if the plan is not free in time.
        """
        return Ownership(self, plan, name, wait, on_lost)

    def work(
        self, plan: str, name: str | None = None, on_lost: Callable[[str], None] | None = None
    ) -> Worker:
        """Opens a session that claims tasks of a plan which another program owns, or none.

        `name` and `on_lost` as for `own`. If this process dies, the owner of the plan recovers its tasks.
        """
        return Worker(self, plan, name, on_lost)

    def events(self, plans: list[str] | None = None, after: int | None = None) -> Iterator[Event]:
        """Yields every change once and in order, over any number of broken connections.

        The first event is a snapshot, unless `after` is the revision after which to continue. If the sidecar does not have
        all changes since then, it sends another snapshot, named `resync`.
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
            except Problem as problem:
                if not problem.passing and problem.kind != "draining":
                    raise
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)

    def get(self, path: str) -> dict[str, Any]:
        """Reads a document. The request is repeated while no answer comes."""
        return self._insist("GET", path, None, {})

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        """Sends a request once. Raises `Problem`, or `Unreachable`: then it may have been done."""
        return self._ask(method, path, body, headers, self._timeout)

    def stream(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Iterator[Event]:
        """Requests a stream of events. Its end is the end of the iteration; `Unreachable` if it breaks."""
        connection = self._connection(self._timeout)
        try:
            yield from self._events(connection, method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error}") from error
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], timeout: float
    ) -> dict[str, Any]:
        connection = self._connection(timeout)
        try:
            answer = self._send(connection, method, path, body, headers)
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        return _document(f"{method} {path}", answer.status, text)

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
            _document(f"{method} {path}", answer.status, answer.read())
        parser = Parser()
        while chunk := answer.read1(65_536):
            for identity, name, data in parser.feed(chunk):
                yield _event(f"{method} {path}", identity, name, data)

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
                if not problem.passing:
                    raise
            time.sleep(pause)
            pause *= 2
        return self.ask(method, path, body, headers)

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        to = self._address
        if to.socket is not None:
            return _UnixConnection(to.socket, timeout)
        kind = http.client.HTTPSConnection if to.tls else http.client.HTTPConnection
        return kind(to.host, to.port, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        headers = {"planlease-request": "true", **headers}
        if not self._address.tls:
            headers["host"] = "localhost"  # A name that each sidecar accepts.
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        connection.request(method, path, body, headers)
        return connection.getresponse()


class _Claims:
    """The claims of a session, and what became of their tasks."""

    def __init__(self, plan: str) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._tasks: dict[str, Task] = {}
        self._revisions: dict[str, int] = {}
        self._ending: set[str] = set()
        self._seen: dict[str, dict[str, Any] | None] = {}

    def add(self, tasks: list[Task]) -> None:
        with self._lock:
            for task in tasks:
                self._tasks[task.id] = task
                self._revisions[task.id] = task.revision
                self._seen.pop(task.id, None)

    def revision(self, task: Task) -> int:
        """The revision of the record that an update is about."""
        with self._lock:
            present = self._tasks.get(task.id)
            mine = present is not None and present.attempt == task.attempt
            return self._revisions.get(task.id, task.revision) if mine else task.revision

    def wrote(self, task: Task, revision: int) -> None:
        with self._lock:
            self._revisions[task.id] = max(revision, self._revisions.get(task.id, 0))

    def begin_end(self, task: Task) -> None:
        """From now on the attempt may be over because this program ends it."""
        with self._lock:
            self._ending.add(task.id)

    def ended(self, task: Task, success: bool) -> None:
        with self._lock:
            self._ending.discard(task.id)
            if success:
                self._forget(task.id)
            elif task.id in self._seen:
                self._judge(task.id, self._seen[task.id])

    def lose(self, task: Task) -> None:
        with self._lock:
            if self._tasks.get(task.id) is task:
                self._forget(task.id)
                task.lost.set()

    def lose_all(self) -> None:
        with self._lock:
            for task in list(self._tasks.values()):
                task.lost.set()
            self._tasks.clear()

    def hear(self, event: Event) -> None:
        """Judges the claims by an event of the plan."""
        with self._lock:
            if event.name == "changes":
                for change in event.data["changes"]:
                    if change["plan"] != self._plan:
                        continue
                    if change["change"] in ("plan_gone", "plan_appeared"):
                        self._judge_all(change.get("tasks", []), event.data["revision"])
                    elif change["change"] in ("task", "task_gone"):
                        self._judge(change["task"], change if change["change"] == "task" else None)
            elif event.name in ("snapshot", "resync"):
                plans = [plan for plan in event.data["plans"] if plan["plan"] == self._plan]
                self._judge_all(plans[0]["tasks"] if plans else [], event.data["revision"])

    def _judge_all(self, records: list[dict[str, Any]], revision: int) -> None:
        by_id = {record["task"]: record for record in records}
        for name, task in list(self._tasks.items()):
            if name in by_id or task.revision <= revision:
                self._judge(name, by_id.get(name))

    def _judge(self, name: str, record: dict[str, Any] | None) -> None:
        task = self._tasks.get(name)
        if task is None or (record is not None and record["revision"] < task.revision):
            return
        self._seen[name] = record
        if name in self._ending:
            return
        if record is None or record["status"] != "in_progress" or record["attempt"] != task.attempt:
            self._forget(name)
            task.lost.set()

    def _forget(self, name: str) -> None:
        self._tasks.pop(name, None)
        self._revisions.pop(name, None)
        self._seen.pop(name, None)


_Self = TypeVar("_Self", bound="_Session")


class _Session:
    """A session, for as long as its connection lasts; a context manager."""

    _loss: type[SessionLost] = SessionLost

    def __init__(
        self,
        client: Client,
        plan: str,
        path: str,
        request: dict[str, Any],
        on_lost: Callable[[str], None] | None,
    ) -> None:
        self.plan = plan
        self.lost = threading.Event()
        """Set when the session is over."""
        self.why = ""
        """Why it is over."""
        self.name = ""
        """The name that others see."""
        self.draining = threading.Event()
        """Set while the sidecar is about to end: begin nothing new, finish and release. Cleared if that is undone."""
        self._client = client
        self._path = f"/v1/plans/{_quote(plan)}"
        self._session = ""
        self._on_lost = on_lost
        self._released = False
        self._ending = threading.Lock()
        self._renewed = threading.Event()
        self._trust: tuple[Moment, float] | None = None
        self._claims = _Claims(plan)
        self._following = False
        self._sockets: list[sockets.socket] = []
        self._sent = Moment()
        self._connection = client._connection(client._timeout)
        body = json.dumps({key: value for key, value in request.items() if value is not None}).encode()
        headers = {"content-type": "application/json"}
        self._events = client._events(self._connection, "POST", path, body, headers)
        try:
            self._connect(self._connection)
            self._open()
            self._confirm_soon()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(f"{plan}: {error}") from error
        except BaseException:
            self._connection.close()
            raise
        threads = ((self._read, "reader"), (self._keep, "keeper"))
        self._threads = [self._thread(target, name) for target, name in threads]

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def trusted_for(self) -> float:
        """For how many more seconds the session can be relied on, without further news; 0 if it is over."""
        if self.lost.is_set() or self._trust is None:
            return 0.0
        since, seconds = self._trust
        return max(0.0, seconds - since.elapsed())

    def claim(self, count: int = 1, labels: list[str] | None = None) -> list[Task]:
        """Claims up to `count` ready tasks with all of these labels. No two sessions get the same one."""
        self._follow()
        body = json.dumps({"count": count, "labels": labels or []}).encode()
        path = f"{self._path}/claims"
        answer = self._checked(lambda: self._client.ask("POST", path, body, self._authority()))
        fields = ("attempt", "revision", "description", "steps", "command")
        tasks = [Task(task["task"], *(task[name] for name in fields)) for task in answer["tasks"]]
        self._claims.add(tasks)
        return tasks

    def complete(self, task: Task, notes: str | None = None) -> dict[str, Any]:
        """Marks a task completed. Raises `ClaimLost` if the attempt is over."""
        return self._update(task, {"change": "complete", "notes": notes}, ends=True)

    def fail(self, task: Task, error: str) -> dict[str, Any]:
        """Marks a task failed. Raises `ClaimLost` if the attempt is over."""
        return self._update(task, {"change": "fail", "error": error}, ends=True)

    def give_back(self, task: Task, reason: str) -> dict[str, Any]:
        """Returns a task that was not worked on: the attempt does not count as a failure."""
        return self._update(task, {"change": "return", "reason": reason}, ends=True)

    def progress(self, task: Task, text: str) -> dict[str, Any]:
        """Reports progress: the heartbeat of a task. Raises `ClaimLost` if the attempt is over."""
        return self._update(task, {"change": "progress", "progress": text}, ends=False)

    def release(self) -> None:
        """Ends the session in order: what it owns and claims is free immediately."""
        if self._released:
            return
        self._released = True
        try:
            if not self.lost.is_set():
                self._client.ask("DELETE", f"/v1/sessions/{self._session}", None, {})
        except (Problem, Unreachable, Malformed):
            pass  # It ends with the connection.
        self._over("it was released")
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5.0)
        self._connection.close()

    def _open(self) -> None:
        """Reads events until the session has what it was opened for."""
        raise NotImplementedError

    def _next(self) -> Event:
        """The next event of the connection before the session is open."""
        for event in self._events:
            if event.name == "session":
                self._session = event.data["session"]
                self.name = event.data["orchestrator"] if "orchestrator" in event.data else ""
            if event.name == "refused":
                raise Problem(event.data["status"], event.data)
            if event.name == "over":
                raise self._loss(event.data["why"])
            return event
        raise self._loss("the connection was closed")

    def _rely(self, since: Moment, document: dict[str, Any]) -> None:
        """Relies on the session for as long as a document says whose request was sent at `since`."""
        seconds = document.get("trusted_for_s")
        if isinstance(seconds, (int, float)):
            if self._trust is None or seconds - since.elapsed() > self.trusted_for():
                self._trust = (since, float(seconds))

    def _confirm(self, timeout: float) -> None:
        """Asks for how long the session can be relied on, counted from now."""
        sent = Moment()
        path = f"/v1/sessions/{self._session}"
        document = self._granted(self._client._ask("GET", path, None, {}, timeout))
        if document.get("trusted_for_s") == 0:
            raise self._loss("the session is over")
        self._rely(sent, document)

    def _granted(self, document: dict[str, Any]) -> dict[str, Any]:
        """The part of a session's document that says for how long to rely on it."""
        return document

    def _confirm_soon(self) -> None:
        """Before the session is used: the events so far may have waited in the connection."""
        for tries in range(TRIES):
            try:
                return self._confirm(self._client._timeout)
            except (Unreachable, Malformed):
                pass
            except Problem as problem:
                if problem.kind == "no-such-session":
                    raise self._loss(str(problem)) from problem
            if self.trusted_for() > 0.0:
                return None  # Counted from the first request. The keeper tries again.
            time.sleep(PAUSE * 2**tries)
        raise Unreachable(f"{self.plan}: the sidecar does not say for how long to rely on the session")

    def _keep(self) -> None:
        """Confirms the session after each renewal, and ends it when it cannot be relied on any more."""
        again = Moment()
        pause = 0.0
        while not self.lost.is_set():
            self._renewed.wait(CHECK)
            left = self.trusted_for()
            if left <= 0.0:
                self._over("the sidecar was silent for too long")
            elif self._renewed.is_set() and again.elapsed() >= pause:
                self._renewed.clear()
                again, pause = Moment(), 0.0
                try:
                    self._confirm(min(left, self._client._timeout))
                except Problem as problem:
                    if problem.kind == "no-such-session":
                        self._over(str(problem))
                    pause = 1.0
                except SessionLost as loss:
                    self._over(str(loss))
                except Exception:  # Whatever it is: without a confirmation the session ends in time.
                    pause = 1.0
                if pause:
                    self._renewed.set()
            elif self._renewed.is_set():
                self.lost.wait(CHECK)

    def _read(self) -> None:
        why = "the connection was closed"
        try:
            for event in self._events:
                if event.name == "trusted":
                    self._renewed.set()
                elif event.name == "draining":
                    self.draining.set()
                elif event.name == "undrained":
                    self.draining.clear()
                elif event.name in ("lost", "over"):
                    why = event.data["why"]
                    break
        except Exception as error:  # Whatever it is: nothing more is heard of the session.
            why = f"the connection broke: {error}"
        self._over(why)

    def _over(self, why: str) -> None:
        with self._ending:
            if self.lost.is_set():
                return
            self.why = why
            self.lost.set()
        self._renewed.set()
        self._claims.lose_all()
        for connected in self._sockets:
            try:
                connected.shutdown(sockets.SHUT_RDWR)  # Wakes the readers; the sidecar ends the session.
            except OSError:
                pass  # It is closed.
        if self._on_lost is not None and not self._released:
            self._on_lost(why)

    def _follow(self) -> None:
        """Begins to follow the plan, to learn of lost claims."""
        if not self._following:
            self._following = True
            self._thread(self._watch, "watcher")

    def _watch(self) -> None:
        """Follows the plan until the session is over. Each connection begins with a snapshot of the plan."""
        path = "/v1/events?" + urllib.parse.urlencode({"plan": self.plan})
        while not self.lost.is_set():
            connection = self._client._connection(self._client._timeout)
            try:
                self._connect(connection)
                for event in self._client._events(connection, "GET", path, None, {}):
                    self._claims.hear(event)
            except Exception:  # Whatever it is: updates of lost claims are refused all the same.
                pass
            finally:
                self._disconnect(connection)
            self.lost.wait(1.0)

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        """Connects, so that the end of the session ends the connection."""
        connection.connect()
        with self._ending:
            if connection.sock is not None:
                self._sockets.append(connection.sock)
            if self.lost.is_set():
                raise self._loss(self.why)

    def _disconnect(self, connection: http.client.HTTPConnection) -> None:
        with self._ending:
            self._sockets[1:] = []
        connection.close()

    def _thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"planlease {self.plan} {name}", daemon=True)
        thread.start()
        return thread

    def _authority(self) -> dict[str, str]:
        if self.trusted_for() <= 0.0:
            raise self._loss(self.why or "the sidecar was silent for too long")
        return {"planlease-session": self._session, "content-type": "application/json"}

    def _update(self, task: Task, change: dict[str, Any], ends: bool) -> dict[str, Any]:
        """One update of the task's record; of the present one if another program has written to it since."""
        path = f"{self._path}/tasks/{_quote(task.id)}"
        body = json.dumps({**change, "attempt": task.attempt}).encode()
        key = str(uuid.uuid4())
        done = False
        revision = self._claims.revision(task)
        if ends:
            self._claims.begin_end(task)
        try:
            for tries in range(1, TRIES + 1):
                headers = {"if-match": f'"{revision}"', "idempotency-key": key}
                try:
                    answer = self._checked(
                        lambda: self._client._insist("PATCH", path, body, {**self._authority(), **headers})
                    )
                except Problem as problem:
                    if problem.kind == "stale-revision" and tries < TRIES:
                        revision, key = problem.document["revision"], str(uuid.uuid4())
                        continue
                    if problem.kind in ("stale-attempt", "wrong-state", "no-such-task", "no-such-plan"):
                        self._claims.lose(task)
                        raise ClaimLost(problem.status, problem.document) from problem
                    raise
                done = True
                self._claims.wrote(task, answer["record"]["revision"])
                return answer
            raise AssertionError("the last try returns or raises")
        finally:
            if ends:
                self._claims.ended(task, done)

    def _checked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return ask()
        except Problem as problem:
            if problem.kind in ("right-gone", "no-such-session"):
                self._over(str(problem))
                raise self._loss(str(problem)) from problem
            raise


class Ownership(_Session):
    """The authority over a plan, made by `Client.own`. At the end of a `with` block the plan is released."""

    _loss = OwnershipLost

    def __init__(
        self,
        client: Client,
        plan: str,
        name: str | None,
        wait: float | None,
        on_lost: Callable[[str], None] | None,
    ) -> None:
        self.token: str = ""
        """The fencing token: pass it to what has to refuse a former owner."""
        path = f"/v1/plans/{_quote(plan)}/ownership"
        super().__init__(client, plan, path, {"id": name, "wait_s": wait}, on_lost)

    def _open(self) -> None:
        while True:
            event = self._next()
            if event.name == "granted":
                self.token = event.data["token"]
                self._rely(self._sent, event.data)
                return

    def _granted(self, document: dict[str, Any]) -> dict[str, Any]:
        plans = document.get("plans", [])
        owned = [plan for plan in plans if plan["plan"] == self.plan]
        if not owned:
            raise OwnershipLost("the session does not own the plan any more")
        return owned[0]


class Worker(_Session):
    """A session that claims tasks of a plan without owning it, made by `Client.work`.

    `task.lost` is set when a claim is lost: the owner or an operator took the task back, or the plan was deleted. Updates
    of such a task raise `ClaimLost`.
    """

    def __init__(
        self, client: Client, plan: str, name: str | None, on_lost: Callable[[str], None] | None
    ) -> None:
        super().__init__(client, plan, "/v1/sessions", {"id": name}, on_lost)

    def _open(self) -> None:
        event = self._next()
        while event.name != "session":
            event = self._next()
        self._rely(self._sent, event.data)


def _quote(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def _document(request: str, status: int, text: bytes) -> dict[str, Any]:
    """The document of an answer. Raises the problem if it is one."""
    try:
        document = json.loads(text) if text else {}
    except ValueError as error:
        if status < 400:
            raise Malformed(f"{request}: {error}") from error
        document = {}  # Of a proxy, perhaps.
    if not isinstance(document, dict):
        document = {}
    if status >= 400:
        raise Problem(status, document)
    return document


def _event(request: str, identity: str | None, name: str, data: str) -> Event:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise Malformed(f"{request}: an event is not JSON: {error}") from error
    number = int(identity) if identity and identity.isascii() and identity.isdigit() else None
    return Event(number, name, document)
