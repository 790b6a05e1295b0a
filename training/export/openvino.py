"""Converts a model for openvino-genai in full precision, and compares its logits with the original's.

python -m training.export.openvino --model s3://…/model/manifest.json [--model-sha256 …] --output
s3://…/serving_model/

It runs in the export environment, because optimum-intel needs an older transformers than the trainer.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from include.contracts.errors import InputError, IntegrityError, NexusError
from training.model_store import fetch_model, publish_model
from training.pretrained import require_sound_weights

#: The largest difference of a logit between torch and openvino, both in float32, that rounding explains.
LOGIT_TOLERANCE = 2e-3
_PROMPT = "The licence of this package is\n\tdef main():"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Return 0 if the export is published, or 1 after printing an error."""
    parser = argparse.ArgumentParser(prog="training.export.openvino", description=__doc__)
    parser.add_argument("--model", required=True, help="URI of the model's manifest.json")
    parser.add_argument("--model-sha256", default="", help="SHA-256 of that manifest")
    parser.add_argument("--output", required=True, help="folder for the exported model")
    arguments = parser.parse_args(argv)
    # the manifest lists all files of the model, so nothing may be fetched from a hub
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        export(arguments.model, arguments.model_sha256, arguments.output)
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export(model_uri: str, model_sha256: str, output_uri: str) -> None:
    """Fetch, convert, compare and publish a model. The manifest in ``output_uri`` is written last."""
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        source, target = Path(scratch) / "model", Path(scratch) / "openvino"
        print("progress: export 0/4 steps", flush=True)
        manifest, parent = fetch_model(model_uri, source, sha256=model_sha256)
        if manifest.format != "safetensors":
            raise InputError(
                "cannot be exported", where=model_uri, expected="format safetensors", got=manifest.format
            )
        require_sound_weights(source)  # transformers would also unpickle weights of its older format
        print("progress: export 1/4 steps", flush=True)
        convert(source, target)
        print("progress: export 2/4 steps", flush=True)
        difference = compare(source, target)
        print(f"largest difference of a logit: {difference:.2e}", flush=True)
        print("progress: export 3/4 steps", flush=True)
        publish_model(target, output_uri, replace(manifest, format="openvino", parent=parent, files=()))
        print("progress: export 4/4 steps", flush=True)


def convert(source: Path, target: Path) -> None:
    """Write model, tokenizer and detokenizer in openvino's format. Weights stay in float32."""
    from optimum.exporters.openvino.convert import export_tokenizer  # type: ignore[import-not-found]
    from optimum.intel import OVModelForCausalLM  # type: ignore[import-not-found]
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(source))
    # load_in_8bit=False: optimum-intel compresses large models to int8 by default
    model = OVModelForCausalLM.from_pretrained(
        str(source), export=True, compile=False, load_in_8bit=False, stateful=True
    )
    model.save_pretrained(str(target))
    export_tokenizer(tokenizer, target)
    tokenizer.save_pretrained(str(target))


def compare(source: Path, target: Path) -> float:
    """Return the largest difference of a logit on a prompt. Raises IntegrityError above LOGIT_TOLERANCE."""
    import torch
    from optimum.intel import OVModelForCausalLM
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(source))
    ids = tokenizer(_PROMPT, return_tensors="pt").input_ids
    reference = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)
    exported: Any = OVModelForCausalLM.from_pretrained(
        str(target), ov_config={"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    )
    with torch.no_grad():
        difference = float((reference(ids).logits - exported(ids).logits).abs().max())
    if not difference <= LOGIT_TOLERANCE:
        raise IntegrityError(
            "the exported model answers differently from the trained one",
            where=str(target),
            expected=f"logits within {LOGIT_TOLERANCE}",
            got=f"{difference:.2e}",
        )
    return difference


if __name__ == "__main__":
    raise SystemExit(main())
