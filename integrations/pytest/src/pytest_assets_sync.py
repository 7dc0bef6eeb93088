"""Restores test recordings with `assets` before a pytest run, once, and tells the tests where they are."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Callable

import pytest

# The distinct recordings roots of this run, as text: xdist sends them to its workers.
ROOTS = pytest.StashKey[list]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("assets", "test recordings").addoption(
        "--assets",
        choices=("auto", "off", "offline"),
        default="auto",
        help="restore the recordings of the tests that are named (auto), with what is on this machine only (offline), "
        "or take them as they are on disk (off)",
    )


# First: xdist starts its workers in this hook.
@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    worker = getattr(config, "workerinput", None)
    config.stash[ROOTS] = prepare(config) if worker is None else worker.get("assets_roots", [])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["assets_roots"] = node.config.stash[ROOTS]


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"recordings: {root}" for root in config.stash.get(ROOTS, [])]


@pytest.fixture(scope="session")
def assets_root(pytestconfig: pytest.Config) -> Path:
    """The recordings root: the folder that a test proxy starts in."""
    roots = pytestconfig.stash[ROOTS]
    if len(roots) == 1:
        return Path(roots[0])
    if not roots:
        pytest.fail("no `assets.json` in or above the tests that were named, so there are no recordings", pytrace=False)
    found = "\n  ".join(roots)
    pytest.fail(f"these tests have several recordings roots, so use `assets_root_of`:\n  {found}", pytrace=False)


@pytest.fixture(scope="session")
def assets_root_of() -> Callable[[str | os.PathLike], Path]:
    """A function that returns the recordings root of any path: `assets_root_of(__file__)`."""
    known: dict[Path, Path] = {}

    def root_of(path: str | os.PathLike) -> Path:
        folder = Path(path).resolve()
        folder = folder if folder.is_dir() else folder.parent
        if folder not in known:
            done = run(["config", "locate", str(folder)], stderr=subprocess.PIPE)
            if done.returncode != 0:
                pytest.fail(done.stderr.strip(), pytrace=False)
            known[folder] = Path(done.stdout.strip())
        return known[folder]

    return root_of


def prepare(config: pytest.Config) -> list[str]:
    """Restores what the command line of pytest is about, and returns the distinct recordings roots."""
    mode = config.getoption("assets")
    command = ["config", "locate"] if mode == "off" else ["restore"]
    flags = ["--offline"] if mode == "offline" else []
    packages, folders = wanted(config)
    roots: dict[str, None] = {}
    for paths, scope in ((packages, []), (folders, ["--all"])):
        if not paths:
            continue
        arguments = [*command, *flags, *scope, *paths]
        with uncaptured(config):
            done = run(arguments)
        if done.returncode != 0:
            # What went wrong, `assets` has said itself.
            raise pytest.UsageError(
                f"no test was run: `assets {shlex.join(arguments)}` ended with exit code {done.returncode}"
            )
        roots.update(dict.fromkeys(done.stdout.splitlines()))
    return list(roots)


def wanted(config: pytest.Config) -> tuple[list[str], list[str]]:
    """The packages that the tests on the command line belong to, and the directories without a package around them,
    in which every package is meant."""
    packages: dict[str, None] = {}
    folders: dict[str, None] = {}
    for argument in config.args:
        path = (config.invocation_params.dir / argument.split("::")[0]).resolve()
        for folder in [path, *path.parents]:
            if (folder / "assets.json").is_file():
                packages[str(folder)] = None
                break
            if (folder / ".git").exists():
                if path.is_dir():
                    folders[str(path)] = None
                break
    return list(packages), list(folders)


def run(arguments: list[str], stderr: int | None = None) -> subprocess.CompletedProcess[str]:
    # Without a terminal to read from it asks nothing: pending changes that are in the way are put aside.
    return subprocess.run(
        [program(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def program() -> str:
    """`ASSETS_EXE`, else `assets` of this Python environment, where its wheel puts it, else `assets` on `PATH`."""
    named = os.environ.get("ASSETS_EXE")
    if named:
        if shutil.which(named):
            return named
        raise pytest.UsageError(
            f"`ASSETS_EXE` is `{named}`, which is not an executable file\n"
            "hint: set it to the path of the `assets` binary, or unset it"
        )
    # An environment need not be activated, so its scripts need not be on PATH.
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    found = shutil.which("assets", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    if found:
        return found
    raise pytest.UsageError(
        "cannot find the `assets` program\n"
        f"  searched: `ASSETS_EXE`, which is not set, `{'`, `'.join(folders)}`, and `PATH`\n"
        "hint: install it with `pip install assets-sync`, or set `ASSETS_EXE` to its path"
    )


def uncaptured(config: pytest.Config) -> contextlib.AbstractContextManager:
    """Lets progress and errors of `assets` through to whoever started pytest."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
