"""Addresses of sidecars: `127.0.0.1:7420`, `[::1]:7420`, `http://localhost:7420`, `https://sidecar.example`, `unix:/run/x.sock`."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Address", "parse"]

_FORM = re.compile(
    r"(?:(?P<scheme>https?)://)?(?:\[(?P<six>[0-9a-f:.]+(?:%[^\x00-\x20\x7f\]/]+)?)\]|(?P<name>[^\x00-\x20\x7f:@/?#\[\]\\]+))(?::(?P<port>[0-9]*))?/?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Address:
    """Where a sidecar is: a socket, or a host and a port."""

    socket: str | None = None
    host: str = ""
    port: int = 0
    tls: bool = False


def parse(text: str) -> Address:
    """Parses an address. Raises `ValueError`."""
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "unix":
        path = re.sub("^//(?=/)", "", rest)
        if not path or path.startswith("//"):
            raise ValueError("a unix address is unix:/path/to/the.sock")
        return Address(socket=path)
    if "@" in text:
        # The text is not repeated: it may hold a password.
        raise ValueError("an address has no user and no password; pass the token as `token`")
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no address; one looks like 127.0.0.1:7420, [::1]:7420 or http://localhost:7420")
    tls = (found["scheme"] or "").lower() == "https"
    digits = found["port"] or ({"http": "80", "https": "443"}.get((found["scheme"] or "").lower(), ""))
    if not digits:
        raise ValueError(f"{text!r} names no port")
    port = int(digits) if len(digits) <= 5 else 0
    if not 1 <= port <= 65535:
        raise ValueError(f"{text!r}: a port is a number from 1 to 65535")
    host = found["name"] or found["six"].replace("%25", "%")
    return Address(host=host, port=port, tls=tls)
