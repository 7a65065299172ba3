"""Installs what the tests need from the system: ``make test-deps``.

It takes Debian's packages, only those that are missing, and upgrades nothing. No
service is started, now or with the machine, and no database cluster is made: what it
changes for that in /etc and /usr/sbin it puts back. The standard library is enough.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.requirements import (
    PGTAP_FROM_NPM,
    SUPABASE_JS,
    SUPABASE_JS_VERSION,
    missing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

START_NOTHING = (Path("/usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n")
"""Debian's own question to the administrator: may a package act on a service?"""
MAKE_NO_CLUSTER = (
    Path("/etc/postgresql-common/createcluster.d/turnkeep.conf"),
    "create_main_cluster = false\n",
)
INSTALL = (
    *("apt-get", "install", "--yes", "--no-install-recommends", "--no-upgrade"),
    *("-o", "Dpkg::Options::=--force-confold"),
)


def main() -> int:
    """Install what is missing; 1, and the one line to run, when that is not ours to."""
    if "pgtap" in missing() and not shutil.which("apt-get") and shutil.which("npm"):
        pgtap_from_npm()
    if shutil.which("npm") and not SUPABASE_JS.is_dir():
        supabase_js_from_npm()
    needs = missing()
    packages = {package for need in needs.values() for package in need.packages}
    if find_spec("ensurepip") is None:
        packages.add("python3-venv")
    if not packages:
        print("Everything that the tests need is installed.")
        return 0
    print("The tests need from the system:", *sorted(packages))
    if not shutil.which("apt-get"):
        print("There is no apt-get here to install them.", file=sys.stderr)
        return 1
    if os.geteuid() != 0:
        return as_administrator()
    services = [need.service for need in needs.values() if need.service]
    with in_place(*START_NOTHING), in_place(*MAKE_NO_CLUSTER):
        done = run("apt-get", "update") or run(*INSTALL, *sorted(packages))
    for service in services:
        run("update-rc.d", service, "disable")
        if shutil.which("systemctl"):
            run("systemctl", "disable", "--quiet", service)
    if done == 0 and (left := missing()):
        print("Installed, and yet not found:", *left, file=sys.stderr)
        return 1
    return 1 if done else 0


def as_administrator() -> int:
    """Run again through sudo if it asks for no password."""
    command = ["sudo", "-n", sys.executable, "-B", str(Path(__file__).resolve())]
    if shutil.which("sudo") and run("sudo", "-n", "true", quiet=True) == 0:
        return run(*command)
    directory = shlex.quote(str(Path(__file__).resolve().parents[2]))
    print(
        "An administrator runs this line once; it starts no service:",
        f"  sudo make -C {directory} test-deps",
        sep="\n",
        file=sys.stderr,
    )
    return 1


@contextmanager
def in_place(path: Path, text: str) -> Iterator[None]:
    """Put an executable file at ``path``; afterwards what was there is there again."""
    saved = path.with_name(f"{path.name}.before-turnkeep")
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path) and not os.path.lexists(saved):
        path.rename(saved)
    try:
        path.write_text(text)
        path.chmod(0o755)
        yield
    finally:
        path.unlink(missing_ok=True)
        if os.path.lexists(saved):
            saved.rename(path)


def pgtap_from_npm() -> None:
    """Fetch pgTAP's SQL from the package that carries it for another database."""
    with tempfile.TemporaryDirectory() as scratch:
        run("npm", "pack", "--silent", "@electric-sql/pglite-pgtap", cwd=scratch)
        package = next(Path(scratch).glob("*.tgz"))
        inner = member(package.read_bytes(), r"package/dist/pgtap\.tar\.gz")
        script = member(inner, r"share/postgresql/extension/pgtap--[\d.]+\.sql")
    PGTAP_FROM_NPM.parent.mkdir(parents=True, exist_ok=True)
    PGTAP_FROM_NPM.write_bytes(script)


def supabase_js_from_npm() -> None:
    """Install supabase-js where the test of its example finds it, or leave it out."""
    SUPABASE_JS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SUPABASE_JS.parent) as scratch:
        package = f"@supabase/supabase-js@{SUPABASE_JS_VERSION}"
        options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        if run("npm", "install", *options, package, cwd=scratch):
            print("Not to be had; the test of its example will be skipped.")
            return
        # Whole or not at all; of two runs at a time the first one's will do.
        with suppress(OSError):
            Path(scratch).rename(SUPABASE_JS)
            Path(scratch).mkdir()


def member(archive: bytes, name: str) -> bytes:
    """Read the one file of a compressed archive whose name is ``name``, a pattern."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        found = next(file for file in files if re.fullmatch(name, file.name))
        content = files.extractfile(found)
        if content is None:
            raise FileNotFoundError(found.name)
        return content.read()


def run(*command: str, quiet: bool = False, cwd: str | None = None) -> int:
    """Show a command, run it, give its exit code."""
    if not quiet:
        print("+", shlex.join(command), flush=True)
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=cwd,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
    )
    try:
        return process.wait()
    finally:
        # An interrupted run may not take away what apt-get still relies on.
        process.wait()


if __name__ == "__main__":
    # A plain SIGTERM would leave our answers to Debian's questions behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    sys.exit(main())
