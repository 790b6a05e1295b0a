"""Faults inside the ranks of a run under test, chosen by environment variables.

Python imports this module at start when this folder is on PYTHONPATH; it acts in ranks only.
"""

import os
import sys
import time
from typing import Any

if "training.loop" in sys.orig_argv and os.environ["RANK"] == os.environ.get("FAULTY_RANK", "0"):
    import torch

    from training import optimiser, packed_tokens
    from training import step as step_module
    from training.export import safetensors as safetensors_module

    # untyped, because functions of these modules are replaced
    step: Any = step_module
    safetensors: Any = safetensors_module
    gradients: Any = torch.nn.utils

    current = {"step": -1}

    def noting_the_step(recipe: Any, number: int, steps: int) -> Any:
        current["step"] = number
        return optimiser.learning_rate(recipe, number, steps)

    def local(tensor: Any) -> Any:
        return tensor.to_local() if hasattr(tensor, "to_local") else tensor

    poisoned_steps = {int(number) for number in os.environ.get("POISONED_STEPS", "").split(",") if number}
    clip = gradients.clip_grad_norm_

    def poisoned_clip(parameters: Any, limit: float) -> Any:
        parameters = list(parameters)
        if current["step"] + 1 in poisoned_steps:
            local(parameters[0].grad).view(-1)[0] = float("nan")
        return clip(parameters, limit)

    gather = safetensors.get_model_state_dict

    def poisoned_gather(module: Any, **options: Any) -> Any:
        weights = gather(module, **options)
        next(reversed(weights.values())).view(-1)[0] = float("inf")
        return weights

    read = packed_tokens.PackedTokens.read

    def stalled_read(self: Any, window: Any) -> Any:
        if current["step"] + 1 == int(os.environ["STALLED_STEP"]):
            time.sleep(3600)  # as a read from a network file system that no longer answers
        return read(self, window)

    if os.environ.get("STALLED_STEP"):
        packed_tokens.PackedTokens.read = stalled_read  # type: ignore[method-assign]
    step.learning_rate = noting_the_step
    gradients.clip_grad_norm_ = poisoned_clip
    if os.environ.get("POISONED_EXPORT"):
        safetensors.get_model_state_dict = poisoned_gather
