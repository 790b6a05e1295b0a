"""The few lines at the end of a demo: what became of the text, and where to look next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.summary import Summary

_BAR = 24


def print_report(summary: Summary, written: Path, airflow_url: str, console: Console) -> None:
    """Funnel, training, verdict, completion, addresses; ``written`` is where the summary lies."""
    corpus, training = summary.corpus, summary.training
    console.rule("[bold]Nexus LLM demo")
    reused = "  (existing version: its work was skipped)" if corpus.reused else ""
    console.print(f"[bold]Corpus[/] {corpus.version}{reused}")
    console.print(_funnel(summary))
    console.print(
        f"  {corpus.tokens:,} tokens to train on; "
        f"{corpus.documents_held_out:,} of the kept documents held out\n"
    )
    resumed = f", resumed at step {training.resumed_at_step}" if training.resumed_at_step is not None else ""
    console.print(
        f"[bold]Training[/] {training.steps} steps: "
        f"loss {training.loss_first:.3f} → {training.loss_last:.3f} nats per token; "
        f"{training.interruptions} spot interruption(s){resumed}; "
        f"{training.billable_seconds} of {training.total_seconds} s billable\n"
    )
    colour = {"pass": "green", "fail": "red"}.get(summary.gate.verdict, "yellow")
    console.print(f"[bold]Gate[/] [{colour}]{summary.gate.verdict}[/] against {summary.gate.baseline}")
    for reason in summary.gate.reasons:
        console.print(Text(f"  · {reason}"))
    console.print()
    deployment = summary.deployment
    completion = Text(deployment.sample_prompt, style="bold") + Text(deployment.sample_completion)
    title = f"served by {deployment.revision} at {deployment.endpoint}"
    console.print(Panel(completion, title=title, title_align="left"))
    minutes, seconds = divmod(round(summary.seconds["total"]), 60)
    console.print(
        f"{minutes} min {seconds} s in all, peak memory {summary.peak_memory_bytes / 2**30:.1f} GiB. "
        f"Everything above is in {written}."
    )
    console.print(
        f"Look next: `make up`, then {airflow_url} (the four DAGs with this run). Ask the model:\n"
        f"  curl {deployment.endpoint}/v1/completions -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"model": "{deployment.model}", "prompt": "def main(", "max_tokens": 40}}\'\n'
        "`make down` ends it.\n",
        soft_wrap=True,
        highlight=False,
    )


def _funnel(summary: Summary) -> Table:
    corpus = summary.corpus
    table = Table.grid(padding=(0, 2))
    for width in (None, None, _BAR):
        table.add_column(no_wrap=True, min_width=width)
    left = corpus.documents_in
    table.add_row("  documents in", f"{left:>9,}", _bar(left, left), "")
    for stage, reasons in corpus.dropped.items():
        dropped = sum(reasons.values())
        left -= dropped
        why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()) if count)
        table.add_row(f"  after {stage}", f"{left:>9,}", _bar(left, corpus.documents_in), f"[dim]{why}[/]")
    return table


def _bar(part: int, whole: int) -> str:
    return "█" * round(_BAR * part / whole) if whole else ""
