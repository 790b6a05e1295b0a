"""Measure tokens per second over HTTP and by the pipeline alone, in the same run.

make bench-serving        # builds a Llama of 6.5 M parameters, then runs this module
python -m benchmarks.serving --model FOLDER [--new-tokens 32] [--rounds 5]

Every round measures each way once, in turn, so that a slow minute of the machine affects all of them.
The median of the rounds is printed. The clients run in this process, on the same cores as the server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from include.contracts.manifests import ModelManifest
from include.contracts.records import content_hash, parse_json
from serving.language_model import LanguageModel, Sampling

CONCURRENCIES = (1, 32, 128)
_SLOTS = max(CONCURRENCIES)
_BATCHED_TOKENS = 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table. Return 0 if every answer had all its tokens."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a serving model")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args(argv)
    content = (arguments.model / "manifest.json").read_bytes()
    manifest = parse_json(ModelManifest, content, where=str(arguments.model))
    model = LanguageModel(
        arguments.model,
        manifest,
        max_sequences=_SLOTS,
        max_batched_tokens=_BATCHED_TOKENS,
        kv_cache_gib=1,
        threads=0,
    )
    server, port = _start_server(arguments.model, content_hash(content))
    rates: dict[tuple[str, int], list[float]] = {}
    try:
        for round_number in range(arguments.rounds + 1):
            for concurrency in CONCURRENCIES:
                for way, seconds in (
                    ("pipeline", _pipeline(model, concurrency, arguments.new_tokens)),
                    ("HTTP", _http(port, concurrency, arguments.new_tokens, stream=False)),
                    ("HTTP stream", _http(port, concurrency, arguments.new_tokens, stream=True)),
                ):
                    if round_number:  # the first round is a warm-up
                        rates.setdefault((way, concurrency), []).append(
                            concurrency * arguments.new_tokens / seconds
                        )
    finally:
        server.terminate()
        server.wait()
    _print_table(rates, manifest.parameters, arguments.new_tokens)
    return 0


def _print_table(rates: dict[tuple[str, int], list[float]], parameters: int, new_tokens: int) -> None:
    print(f"{parameters / 1e6:.1f} M parameters, {new_tokens} new tokens, {os.cpu_count()} cores; tokens/s")
    print("| concurrent | pipeline alone | HTTP | HTTP / pipeline | HTTP, streamed | streamed / pipeline |")
    print("|---|---|---|---|---|---|")
    for concurrency in CONCURRENCIES:
        alone, whole, streamed = (
            statistics.median(rates[(way, concurrency)]) for way in ("pipeline", "HTTP", "HTTP stream")
        )
        print(
            f"| {concurrency} | {alone:,.0f} | {whole:,.0f} | {whole / alone:.2f} "
            f"| {streamed:,.0f} | {streamed / alone:.2f} |"
        )


def _prompt(number: int) -> str:
    return f"def function_{number}(x):"


def _pipeline(model: LanguageModel, concurrency: int, new_tokens: int) -> float:
    """Return the seconds for all prompts with the pipeline in this process."""
    sampling = Sampling(new_tokens, 0.0, 1.0, 0, 0, 0.0, 0.0)
    started = time.perf_counter()
    handles = [model.start(number, model.encode(_prompt(number)), sampling) for number in range(concurrency)]
    while model.pipeline.has_non_finished_requests():
        model.pipeline.step()
    texts = [model.decode(handle.read_all()[0].generated_ids) for handle in handles]
    seconds = time.perf_counter() - started
    assert len(texts) == concurrency
    return seconds


def _http(port: int, concurrency: int, new_tokens: int, *, stream: bool) -> float:
    """Return the seconds for all prompts over HTTP, from connecting to the last byte."""

    async def ask(number: int) -> int:
        body = {
            "model": "nexus-llm",
            "prompt": _prompt(number),
            "max_tokens": new_tokens,
            "temperature": 0,
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        content = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(content)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + content)
        answer = await reader.read()
        writer.close()
        at = answer.rindex(b'"completion_tokens": ')
        return int(answer[at:].split(b",")[0].split(b":")[1])

    async def all_at_once() -> float:
        started = time.perf_counter()
        counts = await asyncio.gather(*(ask(number) for number in range(concurrency)))
        seconds = time.perf_counter() - started
        assert counts == [new_tokens] * concurrency, counts
        return seconds

    return asyncio.run(all_at_once())


def _start_server(folder: Path, manifest_sha256: str) -> tuple[subprocess.Popen[str], int]:
    environment = {
        **os.environ,
        "MODEL_URI": str(folder),
        "MODEL_MANIFEST_SHA256": manifest_sha256,
        "PORT": "0",
        "MAX_CONCURRENT_REQUESTS": str(_SLOTS),
        "MAX_BATCHED_TOKENS": str(_BATCHED_TOKENS),
        "LAME_DUCK_SECONDS": "0",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "serving"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = 0
    for line in server.stdout:
        if "listening on" in line:
            port = int(line.rsplit(":", 1)[1])
        if "ready" in line:
            return server, port
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    raise SystemExit(main())
