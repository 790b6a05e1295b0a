"""Steps of a computation whose tasks send each other tables: in one process, or through Spark's shuffle.

There are as many tasks as partitions of the documents. In each step every task reads what was sent to it in
the step before and sends tables to any task. Only the tables cross the shuffle, as a few large values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from spark_jobs.dedup.arrays import Integers

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

R = TypeVar("R")


@dataclass(frozen=True)
class Message:
    """A table for one task; the name of its ``topic`` says what the rows mean."""

    destination: int
    topic: str
    rows: pa.Table


class Inbox:
    """The tables that were sent to one task, in no particular order."""

    def __init__(self) -> None:
        self._tables: dict[str, list[pa.Table]] = defaultdict(list)

    def add(self, topic: str, rows: pa.Table) -> None:
        """Receive a table."""
        self._tables[topic].append(rows)

    def rows(self, topic: str, schema: pa.Schema) -> pa.Table:
        """Return all rows of a topic as one table, which is empty when nothing was sent."""
        return pa.concat_tables(self._tables[topic]) if topic in self._tables else schema.empty_table()


#: A step of one task: (number of the task, what was sent to it) to what it sends.
Step = Callable[[int, Inbox], Iterable[Message]]
#: The last step returns a result instead.
LastStep = Callable[[int, Inbox], R]


class ExchangeRunner(Protocol):
    """A way to run the steps of an exchange, whose ``name`` the Spark UI shows."""

    def __call__(self, name: str, steps: Sequence[Step], last: LastStep[R]) -> list[R]:
        """Return the results of all tasks."""


def send(topic: str, rows: pa.Table, destinations: Integers) -> Iterator[Message]:
    """Send each row to its destination: one message for each destination that gets rows."""
    order = np.argsort(destinations, kind="stable")
    found, starts = np.unique(destinations[order], return_index=True)
    if len(found) > 1:
        rows = rows.take(pa.array(order)).combine_chunks()
    sizes = np.diff(starts, append=len(order))
    for destination, start, size in zip(found.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        yield Message(destination, topic, rows.slice(start, size))


def run_in_process(tasks: int, name: str, steps: Sequence[Step], last: LastStep[R]) -> list[R]:
    """Run the tasks of each step one after the other in this process."""
    inboxes = [Inbox() for _ in range(tasks)]
    for step in steps:
        following = [Inbox() for _ in range(tasks)]
        for task, inbox in enumerate(inboxes):
            for message in step(task, inbox):
                following[message.destination].add(message.topic, message.rows)
        inboxes = following
    return [last(task, inbox) for task, inbox in enumerate(inboxes)]


def run_in_one_task(
    spark: SparkSession, tasks: int, name: str, steps: Sequence[Step], last: LastStep[R]
) -> list[R]:
    """Run all in one Spark task, as ``run_in_process`` does."""
    with _described(spark, name) as context:
        run = partial(run_in_process, tasks, name, steps, last)
        results: list[list[R]] = context.parallelize([0], 1).map(lambda _: run()).collect()
    return results[0]


def run_on_spark(
    spark: SparkSession, tasks: int, name: str, steps: Sequence[Step], last: LastStep[R]
) -> list[R]:
    """Run each step as a stage of one Spark job with ``tasks`` tasks."""
    with _described(spark, name) as context:
        sent = context.parallelize(range(tasks), tasks).mapPartitions(partial(_first, steps[0]))
        for step in steps[1:]:
            sent = sent.partitionBy(tasks, int).mapPartitionsWithIndex(partial(_following, step))
        sent = sent.partitionBy(tasks, int)
        results: list[R] = sent.mapPartitionsWithIndex(partial(_last, last)).collect()
    return results


@contextmanager
def _described(spark: SparkSession, name: str) -> Iterator[SparkContext]:
    """Show ``name`` as the description of the Spark jobs."""
    spark.sparkContext.setJobDescription(name)
    yield spark.sparkContext
    spark.sparkContext.setJobDescription("")


_Sent = tuple[int, tuple[str, bytes]]


def _first(step: Step, numbers: Iterable[int]) -> Iterator[_Sent]:
    # Spark reuses a worker, with its imports, only if the worker has read all its input.
    for task in numbers:
        yield from _packed(step(task, Inbox()))


def _following(step: Step, task: int, received: Iterable[_Sent]) -> Iterator[_Sent]:
    yield from _packed(step(task, _unpacked(received)))


def _last(last: LastStep[R], task: int, received: Iterable[_Sent]) -> Iterator[R]:
    yield last(task, _unpacked(received))


def _packed(messages: Iterable[Message]) -> Iterator[_Sent]:
    for message in messages:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, message.rows.schema) as writer:
            writer.write_table(message.rows)
        yield message.destination, (message.topic, sink.getvalue().to_pybytes())


def _unpacked(received: Iterable[_Sent]) -> Inbox:
    inbox = Inbox()
    for _, (topic, content) in received:
        inbox.add(topic, pa.ipc.open_stream(content).read_all())
    return inbox
