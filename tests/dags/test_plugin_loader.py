"""Airflow's own plugin loader on plugins/, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LOAD = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
ours = [p.name for p in plugins if getattr(p.source, "path", None)]
print(json.dumps({"ours": ours, "errors": errors, "shadowed": sorted(
    name for name, module in sys.modules.items()
    if "." not in name and str(getattr(module, "__file__", "") or "").startswith(sys.argv[1])
)}))
"""


def load(plugins: Path, tmp_path: Path) -> dict[str, object]:
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{ROOT}:{plugins}",
    }
    command = [sys.executable, "-c", _LOAD, str(plugins)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_loader_executes_nexus_plugin_and_nothing_else(tmp_path: Path) -> None:
    loaded = load(ROOT / "plugins", tmp_path)
    assert loaded["ours"] == ["nexus"]
    assert loaded["errors"] == {}
    # nexus_airflow came by its imports, as a package; no module stands under a bare file stem
    assert loaded["shadowed"] == ["nexus_airflow", "nexus_plugin"]


def test_without_the_ignore_file_modules_shadow_packages(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    subprocess.run(["cp", "-r", str(ROOT / "plugins"), str(plugins)], check=True)
    (plugins / ".airflowignore").unlink()
    shadowed = load(plugins, tmp_path)["shadowed"]
    assert isinstance(shadowed, list)
    assert "training" in shadowed
