"""The page describes the corpus, and no text of a document can run on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import CorpusManifest, StageReport
from include.contracts.records import canonical_json
from include.object_store import STORE, ObjectStore
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.corpus_version.trace import trace
from spark_jobs.report.__main__ import main
from spark_jobs.report.page import write_report

if TYPE_CHECKING:
    from tests.spark.conftest import Known
    from tests.spark.file_s3 import S3
    from tests.spark.report.conftest import Page

    PageOf = Callable[[Path], Page]

ROOT = Path(__file__).parents[3]


def numbers(row: list[str]) -> int:
    return int(row[1].replace(",", "").removeprefix("− "))


def decontaminate(corpus: Path, dropped: dict[str, int]) -> None:
    """Change the report of a stage so that it dropped these documents."""
    report = STORE.read_record(StageReport, str(corpus / "stages/decontaminate.json"))
    total = sum(dropped.values())
    layout = VersionLayout(str(corpus))
    before = StageReport(
        "decontaminate", report.documents_in + total, report.documents_in, dropped, 1.5, {"ngrams": 13}
    )
    for stage in ("read", "normalise", "filter"):
        report = STORE.read_record(StageReport, str(corpus / f"stages/{stage}.json"))
        layout.save_report(
            StageReport(
                stage,
                report.documents_in + total,
                report.documents_out + total,
                report.dropped,
                0.0,
                report.details,
            )
        )
    layout.save_report(before)
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    manifest["documents_in"] += total
    manifest["dropped"]["decontaminate"] = dropped
    (corpus / "manifest.json").write_bytes(canonical_json(manifest))


def test_the_funnel_adds_up_and_has_every_reason_with_its_count(
    built: Path, known: Known, page_of: PageOf
) -> None:
    rows = page_of(built).rows["funnel"]
    left = numbers(rows[1])
    assert left == known.records
    dropped: dict[str, int] = {}
    for row in rows[2:-2]:
        if row[0].startswith("after "):
            assert numbers(row) == left, row
        else:
            assert row[1].startswith("− ")
            dropped[row[0]] = numbers(row)
            left -= numbers(row)
    assert dropped == {reason: n for reasons in known.dropped.values() for reason, n in reasons.items()}
    assert numbers(rows[-2]) + numbers(rows[-1]) == left == known.records - sum(dropped.values())


def test_stages_that_do_not_add_up_are_an_error(corpus: Path) -> None:
    layout = VersionLayout(str(corpus))
    report = layout.completed("filter")
    layout.save_report(
        StageReport("filter", report.documents_in - 1, report.documents_out - 1, report.dropped, 0.0)
    )
    with pytest.raises(ContractError, match="stages do not add up"):
        write_report(layout)


def test_stage_reports_of_another_run_are_an_error(corpus: Path) -> None:
    layout = VersionLayout(str(corpus))
    report = layout.completed("near_dedup")
    other = {"near_duplicate": 3, "other": 1}
    layout.save_report(StageReport("near_dedup", report.documents_in, report.documents_out, other, 0.0))
    with pytest.raises(ContractError, match="the stage reports do not add up to the manifest"):
        write_report(layout)


def test_the_table_of_subsets_agrees_with_the_manifest_and_the_texts(built: Path, page_of: PageOf) -> None:
    manifest = STORE.read_record(CorpusManifest, str(built / "manifest.json"))
    table = pq.read_table(built / "documents").to_pylist()
    rows = page_of(built).rows["subsets"][1:]
    assert [row[0] for row in rows] == sorted(manifest.subsets, key=lambda s: -manifest.subsets[s].tokens)
    for row in rows:
        counts = manifest.subsets[row[0]]
        assert row[1:4] == [f"{counts.documents:,}", f"{counts.documents_held_out:,}", f"{counts.tokens:,}"]
        characters = sum(len(document["text"]) for document in table if document["subset"] == row[0])
        assert row[8] == f"{characters / counts.tokens:.2f}"


def test_every_cluster_is_shown_with_the_document_that_is_kept(
    built: Path, known: Known, page_of: PageOf
) -> None:
    section = page_of(built).sections["duplicates"]
    assert "5 exact duplicates and 4 near duplicates were dropped" in section
    kept = {row["id"]: row["text"] for row in pq.read_table(built / "documents").to_pylist()}
    kept |= {row["id"]: row["text"] for row in pq.read_table(built / "held_out").to_pylist()}
    for dropped, keeper in (known.exact | known.near).items():
        assert dropped in section
        assert keeper in section
        assert kept[keeper][:299] in section
        assert kept[keeper][:301] not in section


def test_repaired_values_are_shown_by_reason_the_most_first(corpus: Path, page_of: PageOf) -> None:
    assert "repaired" not in page_of(corpus).sections["funnel"]
    path = corpus / "stages/read.json"
    report = json.loads(path.read_bytes())
    report["details"]["repaired"] = {"date_out_of_range": 1, "invalid_utf8": 1234}
    path.write_bytes(canonical_json(report))
    section = " ".join(page_of(corpus).sections["funnel"].split())
    assert "invalid_utf8 in 1,234 documents; date_out_of_range in 1 document." in section


def test_without_examples_or_benchmarks_the_sections_say_so(corpus: Path, page_of: PageOf) -> None:
    (corpus / "work/examples.json").unlink()
    page = page_of(corpus)
    assert "no work/examples.json" in page.sections["examples"]
    assert "not compared with benchmarks" in page.sections["contamination"]


def test_examples_stand_under_their_reason_and_are_cut(corpus: Path, page_of: PageOf) -> None:
    text = "x" * 200 + "y" * 200
    examples = {"filter": {"too_short": [{"id": "raw/a/7", "text": text}]}}
    (corpus / "work/examples.json").write_text(json.dumps(examples))
    section = page_of(corpus).sections["examples"]
    assert re.search(r"too_short in filter\s+raw/a/7" + "x" * 200 + "y" * 99 + "…", section)


def test_the_command_needs_a_corpus() -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def test_every_reason_of_a_record_that_could_not_be_read_has_an_example(
    built: Path, known: Known, page_of: PageOf
) -> None:
    section = page_of(built).sections["examples"]
    for reason in known.dropped["read"]:
        assert re.search(rf"\b{reason} in read\s+raw/\w", section), reason
    assert 'raw/a.jsonl.zst/000000404{"text": "' + "q" * 289 + "…" in section


def test_examples_of_another_shape_are_an_error_that_names_the_file(corpus: Path) -> None:
    (corpus / "work/examples.json").write_text('{"filter": {"too_short": ["text"]}}')
    with pytest.raises(ContractError, match=r"work/examples\.json"):
        write_report(VersionLayout(str(corpus)))


def test_contamination_is_shown_by_benchmark_the_most_first(corpus: Path, page_of: PageOf) -> None:
    decontaminate(corpus, {"contaminated:arc": 2, "contaminated:hellaswag": 30})
    page = page_of(corpus)
    assert [row[:2] for row in page.rows["contamination"][1:]] == [["hellaswag", "30"], ["arc", "2"]]
    assert '"ngrams": 13' in page.sections["contamination"]
    stages = [row[0] for row in page.rows["funnel"] if row[0].startswith("after ")]
    assert stages.index("after filter") + 1 == stages.index("after decontaminate")


def test_personal_data_is_shown_by_kind_the_most_first(corpus: Path, page_of: PageOf) -> None:
    assert "Personal data was not searched for" in page_of(corpus).sections["scrubbed"]
    manifest = json.loads((corpus / "manifest.json").read_bytes())
    manifest["scrubbed"] = {"emails": 7, "ip_addresses": 1234}
    (corpus / "manifest.json").write_bytes(canonical_json(manifest))
    page = page_of(corpus)
    assert "1,241 pieces of personal data" in page.sections["scrubbed"]
    assert [row[:2] for row in page.rows["scrubbed"][1:]] == [["ip addresses", "1,234"], ["emails", "7"]]


def test_a_recipe_that_scrubs_and_finds_nothing_is_not_said_to_have_looked_for_nothing(
    corpus: Path, page_of: PageOf
) -> None:
    request = json.loads((corpus / "request.json").read_bytes())
    request["recipe"]["scrub"]["enabled"] = True
    (corpus / "request.json").write_bytes(canonical_json(request))
    assert "counts no piece of personal data" in page_of(corpus).sections["scrubbed"]


def test_hostile_documents_subsets_and_reasons_are_text_and_nothing_else(
    hostile: Path, attack: str, tmp_path: Path, page_of: PageOf
) -> None:
    corpus = Path(shutil.copytree(hostile, tmp_path / "corpus"))
    examples = {attack: {attack: [{"id": attack, "text": f"{attack}\ud800"}]}}
    (corpus / "work/examples.json").write_text(json.dumps(examples))
    decontaminate(corpus, {f"contaminated:{attack}": 1})
    page = page_of(corpus)
    harmless = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "nav",
        "a",
        "h1",
        "h2",
        "h3",
        "p",
        "dl",
        "div",
    }
    harmless |= {
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "br",
        "code",
        "span",
        "pre",
    }
    harmless |= {"article", "header", "strong", "figure", "figcaption", "details", "summary"}
    harmless |= {"svg", "g", "path", "rect", "defs", "use", "text", "clippath"}
    assert {tag for tag, _ in page.elements} <= harmless
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), tag
            assert name not in ("href", "xlink:href") or str(value).startswith("#")
            assert name != "src"
    for section in ("funnel", "subsets", "lengths", "duplicates", "examples", "contamination"):
        assert "<script>alert(1)</script>" in page.sections[section].replace("…", ""), section
    assert "$a^{$" in page.sections["lengths"]


def test_the_page_may_load_and_run_nothing(built: Path, page_of: PageOf) -> None:
    page = page_of(built)
    policy = next(attributes for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "url(http" not in page.html
    assert "@import" not in page.html


def test_every_picture_has_words_and_colours_of_the_page(built: Path, page_of: PageOf) -> None:
    charts = re.findall(r'<svg [^>]*class="chart".*?</svg>', page_of(built).html, re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        assert 'role="img" aria-label="' in chart
        assert "var(--kept)" in chart
        assert not re.search(r"#(?!000000)[0-9a-f]{6}\b", chart)


def test_the_command_at_the_end_leads_to_a_document(built: Path, page_of: PageOf) -> None:
    section = page_of(built).sections["next"]
    address = re.search(r"make trace TOKENS=(\S+)", section)
    assert address is not None
    assert trace(address[1]).text


def test_an_incomplete_version_has_no_report(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("manifest.json", "report.html"):
        (corpus / name).unlink()
    with pytest.raises(InputError, match="no complete corpus version"):
        write_report(VersionLayout(str(corpus)))
    assert main(["--corpus", str(corpus)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (corpus / "report.html").exists()


def test_on_s3_the_page_is_the_same_and_no_file_is_downloaded_whole(
    built: Path, s3: S3, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = page_of(built).html
    shutil.copytree(
        built, s3.root / "nexus-llm-processed/corpus/v1", ignore=shutil.ignore_patterns("report.html")
    )

    def whole(store: ObjectStore, uri: str, etag: str = "") -> Any:
        raise AssertionError(uri)

    monkeypatch.setattr(ObjectStore, "local_copy", whole)
    root = "s3://nexus-llm-processed/corpus/v1"
    assert write_report(VersionLayout(root)) == f"{root}/report.html"
    assert STORE.read(f"{root}/report.html").decode().replace(root, str(built)) == here


def test_out_of_a_zip_file_in_another_process_the_bytes_are_the_same(
    corpus: Path, tmp_path: Path, page_of: PageOf
) -> None:
    here = page_of(corpus).html
    with zipfile.ZipFile(tmp_path / "spark_jobs.zip", "w") as bundle:
        for folder in ("spark_jobs", "include"):
            for source in sorted((ROOT / folder).rglob("*")):
                if source.suffix in (".py", ".html", ".css"):
                    bundle.write(source, source.relative_to(ROOT))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "spark_jobs.zip"), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "spark_jobs.report", "--corpus", str(corpus)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{corpus}/report.html\n", "")
    assert (corpus / "report.html").read_text("utf-8") == here
