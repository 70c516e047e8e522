"""What a program in Python does with etcd, by the client `etcd3`.

    python etcd3_client.py HOST:PORT PREFIX

It ends with 0 if the server does what etcd does.
"""

import sys
import time

import etcd3
import grpc
from etcd3 import exceptions

address, prefix = sys.argv[1:]
host, port = address.rsplit(":", 1)


def connect(**options):
    return etcd3.client(host=host, port=int(port), timeout=20, **options)


def refused(code, text, call):
    try:
        call()
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (code, text), error
    else:
        raise AssertionError(f"not refused: {text}")


def until(what, condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


client = connect()


def keys_and_ranges():
    key = prefix + "keys/"
    client.put(key + "a", "1")
    client.put(key + "b", b"\x00\xff")
    value, about = client.get(key + "a")
    assert (value, about.key, about.version) == (b"1", (key + "a").encode(), 1)
    assert client.put(key + "a", "2", prev_kv=True).prev_kv.value == b"1"
    assert client.get(key + "a")[1].version == 2
    assert [value for value, _ in client.get_prefix(key)] == [b"2", b"\x00\xff"]
    assert [value for value, _ in client.get_prefix(key, sort_order="descend")] == [b"\x00\xff", b"2"]
    assert [about.key for _, about in client.get_range(key + "b", key + "c")] == [(key + "b").encode()]
    assert client.get(key + "none") == (None, None)
    assert client.delete(key + "a") and not client.delete(key + "a")
    assert client.delete_prefix(key).deleted == 1


def transactions():
    key = prefix + "txn"
    unset = [client.transactions.version(key) == 0]
    put, get = client.transactions.put(key, "1"), client.transactions.get(key)
    assert client.transaction(compare=unset, success=[put], failure=[get])[0]
    succeeded, [found] = client.transaction(compare=unset, success=[put], failure=[get])
    assert not succeeded and found[0][0] == b"1"
    value = [client.transactions.value(key) == "1", client.transactions.create(key) > 0]
    assert client.transaction(compare=value, success=[client.transactions.delete(key)], failure=[])[0]
    assert client.get(key)[0] is None
    assert client.put_if_not_exists(key, "2") and not client.put_if_not_exists(key, "3")
    assert client.replace(key, "2", "4") and not client.replace(key, "2", "5")


def watches():
    key = prefix + "watch/"
    revision = client.put(key + "a", "0").header.revision
    events, cancel = client.watch_prefix(key, start_revision=revision, prev_kv=True)
    client.put(key + "a", "1")
    client.delete(key + "a")
    seen = [next(events) for _ in range(3)]
    assert [type(event).__name__ for event in seen] == ["PutEvent", "PutEvent", "DeleteEvent"]
    assert [event.value for event in seen[:2]] == [b"0", b"1"]
    assert [event.prev_value for event in seen[1:]] == [b"0", b"1"]
    cancel()
    client.compact(client.put(key + "a", "2").header.revision)
    events, cancel = client.watch_prefix(key, start_revision=revision)
    try:
        next(events)
    except exceptions.RevisionCompactedError as error:
        assert error.compacted_revision > revision
    else:
        raise AssertionError("the watch of a compacted revision goes on")
    cancel()


def leases():
    key = prefix + "lease"
    lease = client.lease(60)
    client.put(key, "1", lease)
    assert client.get(key)[1].lease_id == lease.id
    [renewed] = lease.refresh()
    assert (renewed.ID, renewed.TTL) == (lease.id, 60)
    assert lease.granted_ttl == 60 and 0 < lease.remaining_ttl <= 60
    assert lease.keys == [key.encode()]
    lease.revoke()
    assert client.get(key)[0] is None
    refused(grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found", lease.revoke)
    client.put(key, "2", client.lease(1))
    until("a lease expires", lambda: client.get(key)[0] is None)


def locks():
    # Longer than a busy machine takes; released before that.
    first, second = client.lock(prefix + "lock", ttl=60), connect().lock(prefix + "lock", ttl=60)
    assert first.acquire() and first.is_acquired()
    assert not second.acquire(timeout=1)
    assert first.release() and second.acquire(timeout=20)
    assert second.release()


def about_the_server():
    status = client.status()
    assert status.version.startswith("3.") and status.leader.id and status.db_size > 0
    assert [member.name for member in client.members]
    assert list(client.list_alarms()) == []


def users():
    code, text = grpc.StatusCode.FAILED_PRECONDITION, "etcdserver: authentication is not enabled"
    refused(code, text, lambda: connect(user="ann", password="wrong"))


def authorities():
    # The name of the server is the client's business: a tunnel, a socket, an alias.
    for name in ("localhost", "etcd.example:1", "unix", "%2Frun%2Fetcd.sock", "/run/etcd.sock", "a b", "[half", "x:y:z", ""):
        options = {"grpc.default_authority": name}.items()
        connect(grpc_options=options).put(prefix + "authority", name)
        assert client.get(prefix + "authority")[0] == name.encode()


for test in (keys_and_ranges, transactions, watches, leases, locks, about_the_server, users, authorities):
    test()
    print(test.__name__, "ok", flush=True)
