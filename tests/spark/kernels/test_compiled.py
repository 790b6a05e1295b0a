"""The cache of compiled kernels: its folder, and the modules that its key depends on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from spark_jobs.kernels import compiled
from spark_jobs.kernels.compiled import (
    PackageCacheLocator,
    _kernel_sources_hash,
    _modules,
    array_kernel,
    cache_folder,
    kernel,
)


def test_the_cache_is_where_the_environment_says_or_in_a_folder_of_this_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/some/where")
    assert cache_folder() == Path("/some/where")
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr("spark_jobs.kernels.compiled.getpass.getuser", lambda: "me")
    assert cache_folder() == Path(tempfile.gettempdir()) / "nexus-llm-kernels-me"


def test_every_module_of_a_package_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("x.py", "a/y.py", "a/b/z.py", "a/notes.txt"):
        (tmp_path / name).write_text(name)
    assert dict(_modules(tmp_path, "")) == {name: name.encode() for name in ("x.py", "a/y.py", "a/b/z.py")}


def hash_of(monkeypatch: pytest.MonkeyPatch, modules: dict[str, bytes]) -> str:
    monkeypatch.setattr(compiled, "_modules", lambda *_: iter(modules.items()))
    _kernel_sources_hash.cache_clear()
    try:
        return _kernel_sources_hash()
    finally:
        _kernel_sources_hash.cache_clear()


def test_the_key_depends_on_modules_with_kernels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, user, other = b"import numba\n", b"x = 1\nfrom spark_jobs.kernels import y\n", b"import json\n"
    modules = {"a.py": kernel, "b.py": user, "c.py": other}
    known = hash_of(monkeypatch, modules)
    assert hash_of(monkeypatch, dict(reversed(modules.items()))) == known
    assert hash_of(monkeypatch, modules | {"c.py": b"import sys\n", "d.py": b"# import numba\n"}) == known
    assert hash_of(monkeypatch, modules | {"a.py": kernel + b"#"}) != known
    assert hash_of(monkeypatch, modules | {"b.py": user + b"#"}) != known
    assert hash_of(monkeypatch, {"aa.py": kernel, "b.py": user}) != known


def test_two_kernels_of_one_name_have_two_files_in_the_folder_of_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/some/where")
    first, second = PackageCacheLocator(hash_of), PackageCacheLocator(cache_folder)
    assert first.get_disambiguator() != second.get_disambiguator()
    key = first.get_source_stamp()
    assert first.get_cache_path() == second.get_cache_path() == f"/some/where/{key[:16]}"
    assert len(key) == 64


def doubled(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return numbers * 2


def in_place(numbers: npt.NDArray[np.int64]) -> None:
    for i in range(len(numbers)):
        numbers[i] *= 2


def hidden(numbers: npt.NDArray[np.int64]) -> None:
    numbers[:] = numbers * 2


def references(compiled: Callable[..., object]) -> bool:
    """Return True if the machine code of a kernel counts references."""
    compiled(np.arange(3))
    return any("NRT_decref" in code for code in compiled.inspect_llvm().values())  # type: ignore[attr-defined]


def test_a_kernel_that_returns_an_array_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with pytest.raises(TypeError, match="doubled returns an array: decorate it with array_kernel"):
        kernel(doubled)
    assert array_kernel(doubled)(np.arange(3)).tolist() == [0, 2, 4]


def test_a_kernel_that_makes_an_array_does_not_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with pytest.raises(Exception, match="NRT"):
        kernel(hidden)(np.arange(3))
    numbers = np.arange(3)
    array_kernel(hidden)(numbers)
    assert numbers.tolist() == [0, 2, 4]


def test_only_kernels_of_arrays_count_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not references(kernel(in_place))
    assert references(array_kernel(doubled))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_cache_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    assert PackageCacheLocator.from_function(_python_function, __file__) is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(mode)
    assert PackageCacheLocator.from_function(_python_function, __file__) is None


def test_a_cache_folder_of_another_user_or_behind_a_link_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, link = tmp_path / "own", tmp_path / "link"
    own.mkdir(mode=0o700)
    link.symlink_to(own)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(link))
    assert PackageCacheLocator.from_function(_python_function, __file__) is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(own))
    monkeypatch.setattr("spark_jobs.kernels.compiled.os.getuid", lambda: own.stat().st_uid + 1)
    assert PackageCacheLocator.from_function(_python_function, __file__) is None


def _python_function() -> int:
    return 1
