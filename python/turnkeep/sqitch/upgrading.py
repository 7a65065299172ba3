"""The verb ``upgrade``: bring an older registry to the release that Sqitch 1 writes.

``deploy`` does the same before anything else. Unlike Sqitch all steps are one
transaction.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from turnkeep.sqitch import script as scripts
from turnkeep.sqitch.errors import ScriptError
from turnkeep.sqitch.registry import RELEASE

if TYPE_CHECKING:
    from turnkeep.sqitch.engine import Engine

RELEASES = ("1.0", "1.1")


def upgrade(engine: Engine) -> None:
    """Upgrade on demand, and say so. Raises RegistryError: none there, or a newer."""
    registry = engine.registry
    version = registry.check_version(may_be_older=True)
    name = registry.destination
    if float(version) == float(RELEASE):
        engine.report.info(f"Registry {name} is up-to-date at version {RELEASE}")
        return
    engine.report.info(f"Upgrading registry {name} to version {RELEASE}")
    upgrade_from(engine, version)


def upgrade_from(engine: Engine, version: str) -> None:
    """Upgrade a registry of an older release, if it is one."""
    report = engine.report
    steps = [release for release in RELEASES if float(release) > float(version)]
    if not steps:
        return
    report.info(f"Upgrading the Sqitch registry from {version} to {RELEASE}")
    with engine.session.transaction():
        for release in steps:
            report.info(f"  * From {version} to {release}")
            name = f"upgrade-{release}.sql"
            text = Path(__file__).with_name(name).read_text("utf-8")
            engine.session.write(
                *engine.records.script(text, name), engine.records.release(release)
            )
            version = release
        write_hashes(engine)


def write_hashes(engine: Engine) -> None:
    """Write the scripts' hashes where an upgrade has put identifiers for them."""
    hashes: dict[str, str] = {}
    for change in engine.project.plan.changes:
        path = engine.project.script("deploy", change.name, change.rework_tags)
        try:
            hashes[change.id] = scripts.load_hash(path)
        except ScriptError:
            continue
    engine.session.write(*engine.records.hashes(hashes))
