"""The text generator: one thread drives the pipeline; handlers on the event loop submit, read and cancel.

Only the generator's thread uses the pipeline. After every step it passes all new tokens to the event loop in
one call, which keeps the cost of the loop low when many generations run. A slot is free again only when the
pipeline has released the generation.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from openvino_genai import GenerationFinishReason, GenerationStatus

from include.contracts.errors import NexusError
from serving.language_model import LanguageModel, Sampling

_log = logging.getLogger(__name__)


class Overloaded(NexusError):
    """Raised if a request needs more slots than are free."""


class GenerationFailed(NexusError):
    """Raised if text generation has failed as a whole, or for one generation."""


class Finish(enum.StrEnum):
    """The reasons for which a generation ends."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class NewTokens:
    """New tokens of one generation; ``finish`` is set on the last piece."""

    tokens: Sequence[int]
    finish: Finish | None


class Generation:
    """One running completion. Call ``read`` and ``cancel`` on the event loop."""

    def __init__(self, generator: TextGenerator, prompt: Sequence[int], sampling: Sampling) -> None:
        self._generator = generator
        self.prompt = prompt
        self.sampling = sampling
        self.handle: Any = None
        self.cancelled = False
        self._tokens: list[int] = []
        self._finish: Finish | None = None
        self._news = asyncio.Event()

    async def read(self) -> NewTokens:
        """Wait for new tokens. A reader that is behind gets them in one piece."""
        await self._news.wait()
        self._news.clear()
        tokens, self._tokens = self._tokens, []
        return NewTokens(tokens, self._finish)

    def cancel(self) -> None:
        """Cancel the generation, unless it has ended."""
        if self._finish is None:
            self._generator.cancel(self)

    def receive(self, piece: NewTokens) -> None:
        """Store new tokens. The generator calls it on the event loop."""
        self._tokens.extend(piece.tokens)
        self._finish = piece.finish
        self._news.set()


class TextGenerator:
    """The slots, the thread, and the counts for /metrics. Construct it on the event loop."""

    def __init__(self, model: LanguageModel, slots: int, on_failure: Callable[[], None]) -> None:
        self._model = model
        self.slots = slots
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._running: dict[int, Generation] = {}  # the thread's
        self._unfinished: set[Generation] = set()  # the event loop's
        self._next_id = 0
        self.generated_tokens = 0
        self.prompt_tokens = 0
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)
        self._thread.start()

    @property
    def in_flight(self) -> int:
        """The number of slots in use."""
        return len(self._unfinished)

    def submit(self, prompts: Sequence[tuple[Sequence[int], Sampling]]) -> list[Generation]:
        """Start all completions of a request or none. Raises Overloaded or GenerationFailed."""
        if self.failure:
            raise GenerationFailed("text generation has failed", got=str(self.failure))
        if self.in_flight + len(prompts) > self.slots:
            raise Overloaded(
                "the server is at its limit of concurrent completions",
                expected=f"at most {self.slots}",
                got=f"{self.in_flight} running, {len(prompts)} requested",
                remedy="try again later",
            )
        generations = [Generation(self, prompt, sampling) for prompt, sampling in prompts]
        self._unfinished.update(generations)
        for generation in generations:
            self.prompt_tokens += len(generation.prompt)
            self._commands.put(lambda generation=generation: self._add(generation))  # type: ignore[misc]
        return generations

    def cancel(self, generation: Generation) -> None:
        """Ask the thread to drop a generation."""
        self._commands.put(lambda: self._drop(generation))

    async def close(self) -> None:
        """Stop the thread and cancel the running generations."""
        self._commands.put(None)
        await asyncio.to_thread(self._thread.join)
        self._end_all(Finish.CANCELLED)

    # ---- on the generator's thread ------------------------------------------------

    def _run(self) -> None:
        try:
            while self._run_commands():
                if self._running:
                    self._model.pipeline.step()
                    self._hand_over()
        except Exception as error:
            _log.exception("generator: failed")
            self._loop.call_soon_threadsafe(self._fail, error)

    def _run_commands(self) -> bool:
        """Run the waiting commands; wait for one if nothing runs. Return False to stop the thread."""
        block = not self._running
        while True:
            try:
                command = self._commands.get(block)
            except queue.Empty:
                return True
            if command is None:
                return False
            command()
            block = False

    def _add(self, generation: Generation) -> None:
        self._next_id += 1
        try:
            generation.handle = self._model.start(self._next_id, generation.prompt, generation.sampling)
        except RuntimeError:
            _log.exception("generator: a generation was refused")
            self._deliver([(generation, NewTokens((), Finish.FAILED))])
        else:
            self._running[self._next_id] = generation

    def _drop(self, generation: Generation) -> None:
        if generation.handle is not None:
            generation.cancelled = True
            generation.handle.cancel()

    def _hand_over(self) -> None:
        news = []
        for request_id, generation in list(self._running.items()):
            handle = generation.handle
            tokens: list[int] = []
            reason = GenerationFinishReason.NONE
            while handle.can_read():
                for output in handle.read().values():  # none when it was cancelled, else one
                    tokens += output.generated_ids
                    reason = output.finish_reason
            finish = _finish(reason, handle.get_status(), generation.cancelled)
            if finish:
                del self._running[request_id]
            if tokens or finish:
                news.append((generation, NewTokens(tokens, finish)))
        if news:
            self._deliver(news)

    def _deliver(self, news: list[tuple[Generation, NewTokens]]) -> None:
        self._loop.call_soon_threadsafe(self._receive, news)

    # ---- on the event loop -----------------------------------------------------

    def _receive(self, news: list[tuple[Generation, NewTokens]]) -> None:
        for generation, piece in news:
            self.generated_tokens += len(piece.tokens)
            if piece.finish:
                self._unfinished.discard(generation)
            generation.receive(piece)

    def _end_all(self, finish: Finish) -> None:
        self._receive([(generation, NewTokens((), finish)) for generation in tuple(self._unfinished)])

    def _fail(self, error: Exception) -> None:
        self.failure = error
        self._end_all(Finish.FAILED)
        self._on_failure()


def _finish(reason: GenerationFinishReason, status: GenerationStatus, cancelled: bool) -> Finish | None:
    if status == GenerationStatus.RUNNING:
        return None
    if status == GenerationStatus.FINISHED:
        return Finish.STOP if reason == GenerationFinishReason.STOP else Finish.LENGTH
    # the pipeline reports IGNORED if a generation does not fit the KV cache or was cancelled
    return Finish.CANCELLED if cancelled else Finish.FAILED
