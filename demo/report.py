"""Print the result of a demo: funnel, training, verdict, completion, and what to look at next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.summary import DeploymentSummary, Summary

_BAR = 24


def print_report(summary: Summary, written: Path, airflow_url: str, console: Console) -> None:
    """Print funnel, training, verdict, completion and addresses; ``written`` is the path of the summary.

    Without a deployment, print the meaning of the gate's refusal and what to do in place of the last two.
    """
    console.rule("[bold]Nexus LLM demo")
    _print_corpus(summary, written, console)
    _print_training_and_gate(summary, console)
    if summary.deployment is None:
        console.print(f"[bold]Not deployed[/]  {_next_step(summary)}\n")
    else:
        deployment = summary.deployment
        completion = Text(deployment.sample_prompt, style="bold") + Text(deployment.sample_completion)
        title = f"served by {deployment.revision} at {deployment.endpoint}"
        console.print(Panel(completion, title=title, title_align="left"))
    minutes, seconds = divmod(round(summary.seconds["total"]), 60)
    console.print(
        f"{minutes} min {seconds} s in all, peak memory {summary.peak_memory_bytes / 2**30:.1f} GiB. "
        f"Everything above is in {written}."
    )
    asking = _asking(summary.deployment) if summary.deployment else "\n"
    console.print(
        f"Look next: `make up`, then {airflow_url} (the DAGs with this run).{asking}`make down` ends it.\n",
        soft_wrap=True,
        highlight=False,
    )


def _print_corpus(summary: Summary, written: Path, console: Console) -> None:
    corpus = summary.corpus
    reused = "  (existing version: its work was skipped)" if corpus.reused else ""
    console.print(f"[bold]Corpus[/] {corpus.version}{reused}")
    console.print(_funnel(summary))
    console.print(
        f"  {corpus.tokens:,} tokens to train on; "
        f"{corpus.documents_held_out:,} of the kept documents held out\n"
    )
    if summary.left_out:
        console.print(f"  {len(summary.left_out):,} files left out: `left_out` in {written} says why\n")


def _print_training_and_gate(summary: Summary, console: Console) -> None:
    training, gate = summary.training, summary.gate
    resumed = f", resumed at step {training.resumed_at_step}" if training.resumed_at_step is not None else ""
    console.print(
        f"[bold]Training[/] {training.steps} steps: "
        f"loss {training.loss_first:.3f} → {training.loss_last:.3f} nats per token; "
        f"{training.interruptions} spot interruption(s){resumed}; "
        f"{training.billable_seconds} of {training.total_seconds} s billable\n"
    )
    colour = {"pass": "green", "fail": "red"}.get(gate.verdict, "yellow")
    console.print(f"[bold]Gate[/] [{colour}]{gate.verdict}[/] against {gate.baseline}")
    for reason in gate.reasons:
        console.print(Text(f"  · {reason}"))
    console.print()


def _next_step(summary: Summary) -> str:
    """Explain the most common cause of a refusal: the corpus is too small to learn from or to judge by."""
    corpus = summary.corpus
    champion = summary.gate.baseline.startswith("champion ")
    return (
        f"The model learned from {corpus.documents_kept - corpus.documents_held_out:,} documents and was "
        f"judged by {corpus.documents_held_out:,}. A folder of a few documents cannot pass: give one with "
        "hundreds of documents and some megabytes of text (make demo DATA=<folder>), or none: make demo "
        "gathers more than 50 MB." + (" `make reset` forgets the champion." if champion else "")
    )


def _asking(deployment: DeploymentSummary) -> str:
    return (
        " Ask the model:\n"
        f"  curl {deployment.endpoint}/v1/completions -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{"model": "{deployment.model}", "prompt": "def main(", "max_tokens": 40}}\'\n'
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
