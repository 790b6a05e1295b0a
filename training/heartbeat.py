"""Ends the job when a rank no longer answers, and names the host of this rank in the failure.

gloo and NCCL wait up to half an hour for a peer that is frozen or disconnected, and their errors do not say
which peer it is. A shorter timeout of theirs would be wrong, because the other ranks must wait while one rank
uploads a model. So every rank has a thread that exchanges a message per second with rank 0, independently of
the main thread. Rank 0 detects a silent rank and reports it to the others; they detect a silent rank 0.

A rank whose main thread is stuck still answers. So every beat carries the number of marks that the main
thread has passed: one before each point of a step at which ranks wait for each other. If other ranks have
waited for a rank with fewer marks as long as for a silent one, this rank counts as vanished. A slow step is
no fault, because all ranks have the same number of marks while they compute.

Messages are lines of text: first ``hello <rank>``, then ``beat <marks>``. A rank that has finished its work
sends ``bye``, and rank 0 sends ``vanished <reason>``.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from training.job_inputs import PEER_TIMEOUT_SECONDS
from training.ranks import RankPosition, vanished

#: After a closed connection, wait so long: a rank that failed may be about to report its own reason.
_CLOSED_GRACE_SECONDS = 10.0
_BEATS_PER_TIMEOUT = 10
#: The thread checks at this interval if its rank has finished.
_LEAVE_SECONDS = 0.1
_BEAT, _BYE, _VANISHED = "beat", "bye", "vanished"


@dataclass
class Peer:
    """The connection to one rank and the time of its last message."""

    rank: int
    seen: float
    channel: socket.socket | None = None
    joined: bool = False
    left: bool = False
    closed_at: float | None = None
    marks: int = 0
    received: bytes = field(default=b"", repr=False)

    def fault(self, now: float, timeout: float) -> str:
        """Return the reason why this rank counts as vanished, or an empty string."""
        if self.left:
            return ""
        if self.closed_at is not None and now - self.closed_at > min(_CLOSED_GRACE_SECONDS, timeout):
            return "closed its connection without finishing"
        if now - self.seen > timeout:
            return f"has {'not answered' if self.joined else 'not joined'} for {timeout:g} seconds"
        return ""


class Heartbeat:
    """The heartbeat thread of one rank."""

    def __init__(
        self, position: RankPosition, address: str, timeout_seconds: float, end: Callable[[str], None]
    ) -> None:
        """Prepare the thread. It calls ``end`` with a reason to end this process."""
        self._position = position
        self._address = address
        self._timeout = timeout_seconds
        self._interval = min(1.0, timeout_seconds / _BEATS_PER_TIMEOUT)
        self._end = end
        self._finished = threading.Event()
        self._selector = selectors.DefaultSelector()
        now = time.monotonic()
        watched = range(1, position.world_size) if position.rank == 0 else [0]
        self._peers = {rank: Peer(rank, now) for rank in watched}
        self._marks = 0
        #: For each rank that others wait for: its marks, and the time since when they wait.
        self._behind: dict[int, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the job has only one rank."""
        if self._position.world_size == 1:
            return
        if self._position.rank == 0:
            self._selector.register(_listen(self._address), selectors.EVENT_READ, None)
        self._thread.start()

    def advance(self) -> None:
        """Count a mark. Every rank must call this at the same points, before it waits for the others."""
        self._marks += 1

    def leave(self) -> None:
        """Report to the other ranks that this rank has finished, so that its silence is not a fault."""
        self._finished.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2 * self._interval + 1)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._finished.is_set():
            if self._position.rank != 0:
                self._connect()
            self._receive()
            now = time.monotonic()
            if (
                now - before > self._timeout / 2
            ):  # this process itself was stopped: the others were not silent
                for peer in self._peers.values():
                    peer.seen += now - before
                self._behind.clear()
            before = now
            self._send(f"{_BEAT} {self._marks}")
            self._judge(now)
            if self._position.rank == 0:
                self._judge_progress(now)
            if all(peer.left for peer in self._peers.values()):
                break
        self._send(_BYE)

    def _connect(self) -> None:
        """Connect to rank 0 if there is no connection. Rank 0 may not listen yet, or the connection broke."""
        peer = self._peers[0]
        if peer.channel is not None or peer.left:
            return
        with contextlib.suppress(OSError):
            peer.channel = _open(self._address, self._interval)
            peer.channel.setblocking(False)
            self._selector.register(peer.channel, selectors.EVENT_READ, peer)
            peer.closed_at = None
            self._send(f"hello {self._position.rank}")

    def _receive(self) -> None:
        deadline = time.monotonic() + self._interval
        while (left := deadline - time.monotonic()) > 0 and not self._finished.is_set():
            if not self._selector.get_map():
                self._finished.wait(left)
                return
            for key, _ in self._selector.select(min(left, _LEAVE_SECONDS)):
                if key.data is None:
                    self._accept(key.fileobj)  # type: ignore[arg-type]
                else:
                    self._read(key.data)

    def _accept(self, listener: socket.socket) -> None:
        channel, _ = listener.accept()
        channel.setblocking(False)
        self._selector.register(channel, selectors.EVENT_READ, Peer(-1, time.monotonic(), channel))

    def _read(self, peer: Peer) -> None:
        channel = peer.channel
        assert channel is not None
        try:
            content = channel.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            self._selector.unregister(channel)
            channel.close()
            peer.channel, peer.closed_at = None, time.monotonic()
            return
        *lines, peer.received = (peer.received + content).split(b"\n")
        for line in lines:
            peer = self._take(peer, line.decode(errors="replace"))

    def _take(self, peer: Peer, line: str) -> Peer:
        """Handle a message. Return the peer that sent it, which its ``hello`` has named."""
        word, _, rest = line.partition(" ")
        if word == "hello" and rest.isdigit() and int(rest) in self._peers:
            assert peer.channel is not None
            known = self._peers[int(rest)]
            known.channel, known.received, known.closed_at = peer.channel, peer.received, None
            self._selector.modify(peer.channel, selectors.EVENT_READ, known)
            peer = known
        elif word == _BEAT and rest.isdigit():
            peer.marks = int(rest)
        elif word == _BYE:
            peer.left = True
        elif word == _VANISHED:
            self._end(rest)
        peer.seen, peer.joined = time.monotonic(), True
        return peer

    def _send(self, line: str) -> None:
        for peer in self._peers.values():
            if peer.channel is not None:
                # a peer that does not read is detected by its silence
                with contextlib.suppress(OSError):
                    peer.channel.send(f"{line}\n".encode())

    def _judge(self, now: float) -> None:
        for peer in self._peers.values():
            if how := peer.fault(now, self._timeout):
                self._report(peer.rank, how)

    def _judge_progress(self, now: float) -> None:
        """Detect a rank that answers but has let the others wait for too long."""
        marks = {peer.rank: peer.marks for peer in self._peers.values() if peer.joined and not peer.left}
        marks[0] = self._marks
        most = max(marks.values())
        behind = {rank: count for rank, count in marks.items() if count < most}
        self._behind = {
            rank: self._behind[rank] if self._behind.get(rank, (-1, now))[0] == count else (count, now)
            for rank, count in behind.items()
        }
        for rank, (_, since) in sorted(self._behind.items(), key=lambda item: item[1]):
            if now - since > self._timeout:
                self._report(
                    rank, f"answers but makes no progress, and others have waited {self._timeout:g} seconds"
                )

    def _report(self, rank: int, how: str) -> None:
        """End all ranks that still answer, because ``rank`` has vanished."""
        reason = str(vanished(self._position, rank, how))
        if self._position.rank == 0:
            self._send(f"{_VANISHED} {reason}")
        self._end(reason)


def _listen(address: str) -> socket.socket:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(
            f"\0{rest}"
        )  # a socket with an abstract name, because the path of a file could be too long
    else:
        listener = socket.socket(socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # all interfaces, as torch's own rendezvous: a host may know its own name as a loopback address
        listener.bind(("", int(rest.rpartition(":")[2])))
    listener.listen(4096)
    return listener


def _open(address: str, timeout: float) -> socket.socket:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(timeout)
        channel.connect(f"\0{rest}")
        return channel
    host, _, port = rest.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout)


def connect(position: RankPosition, end: Callable[[str], None]) -> Heartbeat:
    """Start the heartbeat of this rank, with the address and the timeout that the launcher chose."""
    timeout = float(os.environ.get("NEXUS_PEER_TIMEOUT_SECONDS", PEER_TIMEOUT_SECONDS))
    heartbeat = Heartbeat(position, os.environ.get("NEXUS_HEARTBEAT", ""), timeout, end)
    heartbeat.start()
    return heartbeat
