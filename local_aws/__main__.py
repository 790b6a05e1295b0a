"""Start the local AWS endpoint.

python -m local_aws --root build/aws --port 4566 [--fsync] [--images images.toml]

It prints ``local_aws ready http://127.0.0.1:4566`` when it is ready, and serves until SIGTERM or ^C.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from include.contracts.errors import NexusError
from local_aws.real_credentials import refuse_real_credentials


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal. Return 0, or 2 after printing the reason if the endpoint cannot start."""
    parser = argparse.ArgumentParser(prog="local_aws", description="An AWS endpoint on this machine")
    parser.add_argument("--root", type=Path, required=True, help="folder that holds buckets and state")
    parser.add_argument("--port", type=int, default=4566, help="0 chooses a free port (default 4566)")
    parser.add_argument(
        "--fsync", action="store_true", help="write through to the disk, to survive a power failure; slower"
    )
    parser.add_argument("--images", type=Path, help="TOML file: ECR image -> command on this machine")
    arguments = parser.parse_args(argv)
    os.umask(0o077)  # job specs hold environment variables, so other users must not read the files
    try:
        refuse_real_credentials(os.environ)
        from local_aws.server import LocalServer

        server = LocalServer(arguments.root, arguments.port, fsync=arguments.fsync, images=arguments.images)
    except (NexusError, OSError) as error:
        print(f"local_aws: {error}", file=sys.stderr)
        return 2

    def stop(*_: object) -> None:
        threading.Thread(target=server.stop).start()  # shutdown would deadlock inside serve_forever

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.on_ready = lambda: print(f"local_aws ready {server.settings.endpoint}", flush=True)
    server.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
