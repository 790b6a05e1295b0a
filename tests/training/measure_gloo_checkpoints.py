"""Measure whether FSDP2 and distributed checkpoints on gloo are bit-exact, and under which settings.

    python -m tests.training.measure_gloo_checkpoints            # the table of docs/adr/0002

Each line trains the same small Llama on CPU ranks and compares the SHA-256 of the final weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

STEPS = 8
SAVE_AT = 4


@dataclass(frozen=True)
class Case:
    """One training process group; ``resume_from`` and ``save_to`` are checkpoint folders or empty."""

    ranks: int = 2
    threads: int = 1
    deterministic: bool = True
    save_to: str = ""
    resume_from: str = ""
    staged: bool = True
    #: Overwrite every parameter as soon as the save has been started: what is on disk must not change.
    scribble: bool = False


@dataclass(frozen=True)
class Result:
    """``weights`` is the SHA-256 of the full state dict; ``stall_ms`` what the loop waited for a save."""

    weights: str
    stall_ms: float
    step_ms: float


def run(case: Case) -> Result:
    """Train ``case`` in fresh processes, one a rank."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
        ranks = []
        for rank in range(case.ranks):
            environment = os.environ | {
                "RANK": str(rank),
                "WORLD_SIZE": str(case.ranks),
                "OMP_NUM_THREADS": str(case.threads),
                "GLOO_SOCKET_IFNAME": "lo",
            }
            worker = ["--worker", json.dumps(asdict(case)), str(Path(folder) / "store"), str(out)]
            ranks.append(subprocess.Popen([*command, *worker], env=environment))
        codes = [process.wait() for process in ranks]
        if any(codes):
            raise RuntimeError(f"ranks ended with {codes}")
        return Result(**json.loads(out.read_text()))


def train(case: Case, store: str, out: Path) -> None:  # noqa: PLR0915, one rank from top to bottom
    """Run one rank: STEPS steps of AdamW on tokens that depend only on the step."""
    import torch
    import torch.distributed as dist
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_model_state_dict,
        get_state_dict,
        set_state_dict,
    )
    from torch.distributed.checkpoint.state_dict_loader import load
    from torch.distributed.checkpoint.state_dict_saver import async_save, save
    from torch.distributed.fsdp import fully_shard
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(case.threads)
    torch.use_deterministic_algorithms(case.deterministic)
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=case.ranks)
    saving = dist.new_group(backend="gloo")
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=4096, hidden_size=192, intermediate_size=512, num_hidden_layers=3,
            num_attention_heads=6, num_key_value_heads=2, tie_word_embeddings=True,
        )
    )  # fmt: skip
    if case.ranks > 1:
        for layer in model.model.layers:
            fully_shard(layer)
        fully_shard(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    start = 0
    if case.resume_from:
        parameters, moments = get_state_dict(model, optimiser)
        load({"model": parameters, "optimiser": moments}, checkpoint_id=case.resume_from)
        set_state_dict(model, optimiser, model_state_dict=parameters, optim_state_dict=moments)
        start = SAVE_AT
    waiting: Any = None
    stall, step_seconds = 0.0, []
    for step in range(start, STEPS):
        begun = time.monotonic()
        order = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, 4096, (4, 129), generator=order)[rank :: case.ranks]
        logits = model(input_ids=tokens[:, :-1], use_cache=False).logits.float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        step_seconds.append(time.monotonic() - begun)
        if case.save_to and step + 1 == SAVE_AT:
            begun = time.monotonic()
            parameters, moments = get_state_dict(model, optimiser)
            state = {"model": parameters, "optimiser": moments}
            if case.staged:
                waiting = async_save(state, checkpoint_id=case.save_to, process_group=saving)
            else:  # the live tensors, written while the next steps change them
                waiting = threading.Thread(
                    target=save,
                    args=(state,),
                    kwargs={"checkpoint_id": case.save_to, "process_group": saving},
                )
                waiting.start()
            stall = time.monotonic() - begun
            if case.scribble:
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.zero_()
    if waiting is not None:
        (waiting.result if case.staged else waiting.join)()
    full = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if rank == 0:
        digest = hashlib.sha256()
        for name in sorted(full):
            tensor: Any = full[name]
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        result = Result(digest.hexdigest(), stall * 1000, statistics.median(step_seconds) * 1000)
        out.write_text(json.dumps(asdict(result)))
    dist.barrier()
    dist.destroy_process_group()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or train one rank when called with --worker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worker", nargs=3, metavar=("CASE", "STORE", "OUT"))
    arguments = parser.parse_args(argv)
    if arguments.worker:
        case, store, out = arguments.worker
        train(Case(**json.loads(case)), store, Path(out))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        two = Case()
        good, one_rank = (str(Path(folder) / name) for name in ("two_ranks", "one_rank"))

        def scribbled(case: Case, staged: bool) -> Result:
            path = str(Path(folder) / f"scribbled_{staged}")
            run(replace(case, save_to=path, staged=staged, scribble=True))
            return run(replace(case, resume_from=path))

        plain = Case(ranks=1)
        reference, reference_one = run(two), run(plain)
        rows = [
            ("2 ranks, again", run(two), reference),
            ("2 ranks, with an async save in between", run(replace(two, save_to=good)), reference),
            ("2 ranks, resumed from that save", run(replace(two, resume_from=good)), reference),
            ("2 ranks, deterministic algorithms off", run(replace(two, deterministic=False)), reference),
            ("2 ranks, 2 threads each", run(replace(two, threads=2)), reference),
            ("2 ranks, resumed from a save scribbled over", scribbled(two, True), reference),
            ("2 ranks, the same without staging", scribbled(two, False), reference),
            ("1 rank, again", run(plain), reference_one),
            ("1 rank, with an async save in between", run(replace(plain, save_to=one_rank)), reference_one),
            ("1 rank, resumed from that save", run(replace(plain, resume_from=one_rank)), reference_one),
            ("1 rank, resumed from the 2 ranks' save", run(replace(plain, resume_from=good)), reference),
            ("1 rank, 2 threads", run(replace(plain, threads=2)), reference_one),
        ]
    print(f"{'case':<46} {'equal':>5} {'save stall':>11} {'step':>8}")
    for name, result, expected in rows:
        equal = "yes" if result.weights == expected.weights else "NO"
        print(f"{name:<46} {equal:>5} {result.stall_ms:>8.1f} ms {result.step_ms:>5.0f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
