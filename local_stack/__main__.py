"""Start, stop or show the local system: ``python -m local_stack up|down|status``, called by make."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from include.contracts.errors import NexusError
from local_aws.interruption import INTERRUPTED, interruptible
from local_stack.config import StackConfig
from local_stack.stack import Stack


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 on success, 1 after an error, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="local_stack", description=__doc__)
    parser.add_argument("action", choices=("up", "down", "status"))
    action = parser.parse_args(argv).action
    try:
        with interruptible():
            _act(action)
    except KeyboardInterrupt:
        print("interrupted; every process that was started has been stopped", file=sys.stderr)
        return INTERRUPTED
    except NexusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _act(action: str) -> None:
    config = StackConfig.from_environment()
    stack = Stack(config)
    if action == "up":
        stack.up()
        _print_addresses(config)
        print("Stop with:   make down")
    elif action == "down":
        stack.down()
    else:
        _print_status(stack, config)


def _print_status(stack: Stack, config: StackConfig) -> None:
    status = stack.status()
    for name, alive in status.items():
        print(f"{name:14} {'running' if alive else 'stopped'}")
    if all(status.values()):
        _print_addresses(config)
    else:
        print("\nStart with:  make up")


def _print_addresses(config: StackConfig) -> None:
    print(f"\nAirflow:     {config.airflow_url}   (no login on this machine)")
    print(f"Jobs, logs:  {config.aws_endpoint}/_local/ui/   (pages of all AWS jobs and services)")
    print(f"AWS:         {config.aws_endpoint}   (AWS_ENDPOINT_URL; keys local / local)")
    print(f"Model:       {config.serving_url}   (after model_deployment has run)")


if __name__ == "__main__":
    raise SystemExit(main())
