"""The port of the server: bound before the slow work, and free again for the next server."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from include.contracts.errors import SettingsError
from serving.__main__ import _listen
from serving.settings import ServerSettings

SETTINGS = ServerSettings(model_uri="s3://models/one/", model_manifest_sha256="0" * 64, port=0)


def test_a_port_is_free_for_the_next_server_at_once() -> None:
    listener = _listen(SETTINGS)
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)) as client:
        answering, _ = listener.accept()
        answering.close()  # the side that closes first keeps the address in TIME_WAIT
        assert client.recv(1) == b""
    listener.close()
    _listen(replace(SETTINGS, port=port)).close()


def test_a_port_in_use_is_named() -> None:
    with _listen(SETTINGS) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsError, match=f"HOST 127.0.0.1, PORT {port}.*in use.*set PORT to a free"):
            _listen(replace(SETTINGS, port=port))
