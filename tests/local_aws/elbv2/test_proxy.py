"""The load balancer forwards, retries and refuses requests."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local_aws.elbv2.worlds import Balancer, ask, seen
from tests.support.waiting import wait_until

Serving = Callable[..., list[int]]


def test_requests_go_round_all_healthy_targets(balancer: Balancer, serving: Serving) -> None:
    ports = serving({"VERSION": "a"}, {"VERSION": "b"}, {"VERSION": "c"})
    answered = Counter(seen(balancer.port)["port"] for _ in range(30))
    assert answered == dict.fromkeys(ports, 10)


def test_a_group_without_healthy_targets_answers_503(balancer: Balancer) -> None:
    assert balancer.get()[0] == 503


def test_method_path_headers_and_body_arrive_unchanged(balancer: Balancer, serving: Serving) -> None:
    serving({})
    body = bytes(range(256)) * 40
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.request("POST", "/a%2Fb?q=%20x&y", body, {"X-Own": "kept", "Host": "example.org"})
    got = json.loads(connection.getresponse().read())
    connection.close()
    assert (got["method"], got["path"]) == ("POST", "/a%2Fb?q=%20x&y")
    assert got["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert (got["headers"]["x-own"], got["headers"]["host"]) == ("kept", "example.org")
    assert got["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert got["headers"]["x-forwarded-port"] == str(balancer.port)
    assert got["headers"]["x-amzn-trace-id"].startswith("Root=1-")


def test_a_body_larger_than_the_replay_buffer_is_streamed(balancer: Balancer, serving: Serving) -> None:
    serving({})
    parts = [b"%07d" % n * 10_000 for n in range(60)]
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.request(
        "POST", "/", iter(parts), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    got = json.loads(connection.getresponse().read())
    connection.close()
    assert got["body_sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()


def test_a_large_answer_arrives_whole(balancer: Balancer, serving: Serving) -> None:
    serving({})
    status, body = balancer.get("/big?20000000")
    assert (status, len(body)) == (200, 20_000_000)


def test_one_connection_carries_many_requests(balancer: Balancer, serving: Serving) -> None:
    serving({})
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.connect()
    own = connection.sock.getsockname()
    for method in ("GET", "HEAD", "POST", "GET"):
        connection.request(method, "/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        assert connection.sock.getsockname() == own
    connection.close()


def test_server_sent_events_arrive_one_by_one(balancer: Balancer, serving: Serving, tmp_path: Path) -> None:
    serving({})
    gate = tmp_path / "gate"
    gate.write_text("")
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.request("GET", f"/events?{gate}")
    answer = connection.getresponse()
    for number in range(3):
        # the container sends the next event only when this one has been read here
        assert answer.readline() == b"data: %d\n" % number
        assert answer.readline() == b"\n"
        gate.write_text("x" * (number + 1))
    assert answer.read() == b""
    connection.close()


def test_a_client_that_leaves_frees_its_target(balancer: Balancer, serving: Serving, tmp_path: Path) -> None:
    port = serving({})[0]
    gate = tmp_path / "gate"
    gate.write_text("")
    connection = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
    connection.request("GET", f"/events?{gate}")
    answer = connection.getresponse()
    answer.readline()
    answer.close()
    connection.close()
    balancer.deregister(port)
    wait_until(
        balancer.states, lambda states: port not in states, seconds=10
    )  # nothing is in flight any more
    gate.write_text("xxx")


def test_a_draining_target_ends_its_requests_and_gets_no_new_ones(
    balancer: Balancer, serving: Serving
) -> None:
    leaving, staying = serving({"VERSION": "leaving"}, {"VERSION": "staying"})
    slow: list[bytes] = []

    def ask_slowly() -> None:
        slow.append(balancer.get("/slow?1.5")[1])

    threads = [threading.Thread(target=ask_slowly) for _ in range(2)]
    for thread in threads:
        thread.start()
    # each has one: the targets take turns
    wait_until(lambda: _connections(leaving) and _connections(staying), bool, seconds=10)
    balancer.deregister(leaving)
    assert balancer.states()[leaving] == "draining"
    assert {seen(balancer.port)["version"] for _ in range(10)} == {"staying"}
    for thread in threads:
        thread.join()
    assert sorted(slow) == [b"leaving", b"staying"]
    wait_until(balancer.states, lambda states: states == {staying: "healthy"}, seconds=10)


def test_draining_ends_with_the_delay(balancer: Balancer, serving: Serving) -> None:
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
    balancer.elbv2.modify_target_group_attributes(TargetGroupArn=balancer.group, Attributes=attributes)
    port = serving({})[0]
    thread = threading.Thread(target=balancer.get, args=("/slow?6",))
    thread.start()
    wait_until(lambda: _connections(port), bool, seconds=10)
    balancer.deregister(port)
    wait_until(balancer.states, lambda states: port not in states, seconds=4)
    assert thread.is_alive()
    thread.join()


def test_a_refused_connection_is_tried_elsewhere(balancer: Balancer, serving: Serving) -> None:
    doomed, living = serving({"VERSION": "doomed"}, {"VERSION": "living"})
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(doomed, "/exit")
    # the health check has not noticed yet; a POST was not sent, so it may go elsewhere too
    for method in ("GET", "POST") * 4:
        status, body = ask(balancer.port, "/", method, b"{}" if method == "POST" else None)
        assert (status, json.loads(body)["port"]) == (200, living)


def test_an_unanswered_get_is_repeated_and_a_post_is_not(balancer: Balancer) -> None:
    with _hangs_up() as (first, first_asked), _hangs_up() as (second, second_asked):
        balancer.register(first, second)
        wait_until(balancer.states, lambda s: s == {first: "healthy", second: "healthy"})
        assert ask(balancer.port, "/x", "GET")[0] == 502
        assert len(first_asked) == len(second_asked) == 1
        assert ask(balancer.port, "/x", "POST", b"{}")[0] == 502
        assert len(first_asked) + len(second_asked) == 3


def test_a_cut_answer_is_not_taken_for_a_whole_one(balancer: Balancer) -> None:
    with _hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as (port, _):
        balancer.register(port)
        wait_until(balancer.states, lambda s: s == {port: "healthy"})
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(balancer.port, "/x")


def test_a_silent_target_is_a_504_after_the_idle_timeout(balancer: Balancer, serving: Serving) -> None:
    serving({})
    balancer.elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=balancer.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "1"}]
    )
    assert balancer.get("/slow?3")[0] == 504


def test_weights_split_the_traffic(
    balancer: Balancer, container: Callable[..., int], request: pytest.FixtureRequest
) -> None:
    old, new = container(VERSION="old"), container(VERSION="new")
    second = balancer.add_group(f"{balancer.name}-2")
    balancer.register(old)
    balancer.register(new, group=second)
    groups = [
        {"TargetGroupArn": balancer.group, "Weight": 90},
        {"TargetGroupArn": second, "Weight": 10},
    ]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    balancer.elbv2.modify_listener(ListenerArn=balancer.listener, DefaultActions=[action])
    wait_until(
        lambda: (balancer.states(), balancer.states(second)),
        lambda s: s == ({old: "healthy"}, {new: "healthy"}),
    )
    assert Counter(seen(balancer.port)["version"] for _ in range(50)) == {"old": 45, "new": 5}


def _connections(port: int) -> int:
    """Established connections to a local port."""
    wanted = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == wanted and row[3] == "01" for row in rows)


class _hangs_up:  # noqa: N801 - reads as a statement
    """A server that passes health checks and answers everything else with ``answer`` and the end."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[int, list[bytes]]:
        threading.Thread(target=self._serve, daemon=True).start()
        return self._socket.getsockname()[1], self._asked

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        for connection in self._accepted():
            with connection:
                asked = connection.recv(65536)
                if b" /healthz " in asked:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    continue
                self._asked.append(asked)
                connection.sendall(self._answer)

    def _accepted(self) -> Iterator[socket.socket]:
        while True:
            try:
                yield self._socket.accept()[0]
            except OSError:
                return
