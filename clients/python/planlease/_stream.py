"""Event streams, parsed as the HTML standard defines them (section 9.2.6, "Interpreting an event stream").

Only LF, CR and CRLF end a line: U+2028, U+2029, U+0085 and other line separators are text. Chunks end anywhere, also
within a character or between a CR and its LF.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

__all__ = ["Parser"]

_END = re.compile("\r\n|\r|\n")


class Parser:
    """Parses one stream, chunk by chunk."""

    def __init__(self) -> None:
        # Drops a byte order mark at the start; keeps an unfinished character until the rest of it comes.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._parts: list[str] = []
        self._ended_with_cr = False
        self._name = ""
        self._id: str | None = None
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[tuple[str | None, str, str]]:
        """Yields the id, the name and the data of each event that this chunk completes. The id is None without an `id` field."""
        text = self._decoder.decode(chunk)
        if self._ended_with_cr and text:
            self._ended_with_cr = False
            text = text[1:] if text[0] == "\n" else text
        start = 0
        for end in _END.finditer(text):
            line = "".join((*self._parts, text[start : end.start()]))
            self._parts.clear()
            start = end.end()
            if line:
                self._field(line)
            else:
                yield from self._dispatch()
        # The line is complete: its event does not wait for the LF that may follow.
        self._ended_with_cr = self._ended_with_cr or text.endswith("\r")
        if start < len(text):
            self._parts.append(text[start:])

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        # A comment has an empty name. `retry` is ignored: the pauses between connections are the client's own.

    def _dispatch(self) -> Iterator[tuple[str | None, str, str]]:
        identity, name, data = self._id, self._name or "message", self._data
        self._id, self._name, self._data = None, "", []
        if data:
            yield identity, name, "\n".join(data)
