"""The recorded streams and addresses that the clients in all languages parse."""

import json
import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER), str(FOLDER / "tests")]
from fake import FakeSidecar, begin_events, chunk, document  # noqa: E402
from planlease import Client, Malformed  # noqa: E402
from planlease._address import parse  # noqa: E402
from planlease._stream import Parser  # noqa: E402

STREAMS = json.loads((FOLDER.parent / "streams.json").read_text(encoding="utf-8"))
ADDRESSES = json.loads((FOLDER.parent / "addresses.json").read_text(encoding="utf-8"))


def recorded(stream):
    return stream["stream"].encode() if "stream" in stream else bytes.fromhex(stream["hex"])


class StreamTest(unittest.TestCase):
    def test_streams_are_parsed_at_all_chunk_boundaries(self) -> None:
        self.assertGreater(len(STREAMS), 10)
        for stream in STREAMS:
            data = recorded(stream)
            expected = [(event["id"], event["name"], event["data"]) for event in stream["events"]]
            splits = [[data], [data[n : n + 1] for n in range(len(data))]]
            splits += [[data[:n], b"", data[n:]] for n in range(len(data))]
            for split in splits:
                with self.subTest(stream["name"], split=split):
                    parser = Parser()
                    self.assertEqual([event for part in split for event in parser.feed(part)], expected)

    def test_an_event_does_not_wait_for_what_may_follow(self) -> None:
        parser = Parser()
        self.assertEqual(list(parser.feed(b"data: 1\r\r")), [(None, "message", "1")])
        self.assertEqual(list(parser.feed(b"\ndata: 2\n\n")), [(None, "message", "2")])

    def test_a_subscriber_gets_hostile_text(self) -> None:
        for size in (1, 7, 100_000):
            stream = STREAMS[0]

            def answer(handler, data=recorded(stream), size=size):
                begin_events(handler)
                for start in range(0, len(data), size):
                    chunk(handler, data[start : start + size])

            with FakeSidecar(answer) as sidecar:
                event = next(Client(address=f"127.0.0.1:{sidecar.port}").events())
            self.assertEqual((event.id, event.data), (7, json.loads(stream["events"][0]["data"])))

    def test_a_malformed_event_ends_the_iteration(self) -> None:
        def answer(handler):
            begin_events(handler)
            chunk(handler, b"id: 1\nevent: changes\ndata: {\n\n")

        with FakeSidecar(answer) as sidecar, self.assertRaises(Malformed):
            next(Client(address=f"127.0.0.1:{sidecar.port}").events())

    def test_a_subscriber_survives_a_sidecar_that_is_not_ready(self) -> None:
        seen = []

        def answer(handler):
            seen.append(handler.headers.get("last-event-id"))
            if len(seen) == 1:
                document(handler, {"type": "urn:planlease:problem:draining"}, 503)
            elif len(seen) == 2:
                handler.send_error(502)
            else:
                begin_events(handler)
                chunk(handler, b"id: %d\nevent: changes\ndata: {}\n\n" % len(seen))
                handler.wfile.write(b"0\r\n\r\n")

        with FakeSidecar(answer) as sidecar:
            events = Client(address=f"127.0.0.1:{sidecar.port}").events()
            self.assertEqual([next(events).id, next(events).id], [3, 4])
        self.assertEqual(seen[:4], [None, None, None, "3"])


class AddressTest(unittest.TestCase):
    def test_addresses_are_parsed(self) -> None:
        for case in ADDRESSES:
            with self.subTest(case["address"]):
                if "error" in case:
                    with self.assertRaises(ValueError) as refused:
                        parse(case["address"])
                    self.assertIn(case["error"], str(refused.exception))
                    self.assertNotIn("secret", str(refused.exception))
                else:
                    to = parse(case["address"])
                    found = {"socket": to.socket} if to.socket else {"host": to.host, "port": to.port, "tls": to.tls}
                    self.assertEqual(found, {name: case[name] for name in case if name != "address"})

    def test_ipv6_addresses_are_connected_to(self) -> None:
        try:
            sidecar = FakeSidecar(lambda handler: document(handler, {"plans": []}), "::1")
        except OSError as error:
            self.skipTest(f"this host has no IPv6: {error}")
        with sidecar:
            for address in ("[::1]:{}", "http://[::1]:{}", "http://[::1]:{}/"):
                self.assertEqual(Client(address=address.format(sidecar.port)).plans(), [])


if __name__ == "__main__":
    unittest.main()
