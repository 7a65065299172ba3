"""``turnkeep target | engine | config``: what sqitch.conf says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnkeep.cli.authoring import Account, properties_options, setup
from turnkeep.cli.opening import as_json
from turnkeep.cli.place import chdir
from turnkeep.sqitch import config as configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkeep.sqitch.configuring import Properties

verbose = click.option("-v", "-V", "--verbose", count=True, help="With their URIs.")


@click.command()
@click.argument("action", default="list", metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[NAME] [URI]")
@click.option("--uri", metavar="URI", help="The database of the target.")
@properties_options("uri")
@verbose
@chdir.for_click
@as_json.for_click
def target_command(
    *,
    action: str,
    names: tuple[str, ...],
    properties: Properties,
    verbose: int,
    as_json: bool,
) -> None:
    """List, show, add, alter, rename or remove targets of sqitch.conf.

    \b
      turnkeep target
      turnkeep target add prod db:pg://deployer@db.example.org/shop
      turnkeep target alter prod --registry meta
      turnkeep target show prod
      turnkeep target rename prod live
      turnkeep target remove live
    """  # noqa: D301
    account = Account(as_json=as_json)
    done = setup(account)
    if action == "list" or (action == "show" and not names):
        _list(account, done.targets(), "targets", verbose)
        return
    match action, names:
        case "show", _:
            _show(account, {name: name for name in names}, is_engine=False)
        case "add", (name, uri):
            done.add_target(name, uri, properties)
        case "alter", (name,):
            done.alter_target(name, properties)
        case "rename", (old, new):
            done.rename_target(old, new)
        case "remove" | "rm", (name,):
            done.rename_target(name, None)
        case _:
            raise _usage(action, ("show", "add", "alter", "rename", "remove", "rm"))
    account.end()


@click.command()
@click.argument("action", default="list", metavar="[ACTION]")
@click.argument("names", nargs=-1, metavar="[pg] [TARGET]")
@click.option("--target", metavar="TARGET", help="The default target: name or URI.")
@properties_options("target")
@verbose
@chdir.for_click
@as_json.for_click
def engine_command(
    *,
    action: str,
    names: tuple[str, ...],
    properties: Properties,
    verbose: int,
    as_json: bool,
) -> None:
    """List, show, add, alter or remove engines of sqitch.conf.

    \b
      turnkeep engine -v
      turnkeep engine add pg prod
      turnkeep engine alter pg --registry meta
      turnkeep engine show pg
    """  # noqa: D301
    account = Account(as_json=as_json)
    done = setup(account)
    if action == "list" or (action == "show" and not names):
        _list(account, done.engines(), "engines", verbose)
        return
    match action, names:
        case "show", _:
            found = {
                name: done.config.get(f"engine.{name}.target") or f"db:{name}:"
                for name in names
            }
            _show(account, found, is_engine=True)
        case "add", (name, *rest) if len(rest) <= 1:
            done.add_engine(name, rest[0] if rest else None, properties)
        case "alter", (name,):
            done.alter_engine(name, properties)
        case "remove" | "rm", (name,):
            done.remove_engine(name)
        case _:
            raise _usage(action, ("show", "add", "alter", "remove", "rm"))
    account.end()


ACTIONS = (
    *("get", "get_all", "get_regex", "add", "replace_all", "unset", "unset_all"),
    *("rename_section", "remove_section", "list_all", "edit"),
)


@click.command()
@click.argument("words", nargs=-1, metavar="[KEY [VALUE [REGEX]]]")
@click.option("-f", "--file", "--config-file", "file", type=click.Path(path_type=Path))
@click.option("--local", "place", flag_value="local", help="The project's file.")
@click.option("--user", "--global", "place", flag_value="user", help="~/.sqitch's.")
@click.option("--system", "place", flag_value="system", help="/etc/sqitch's.")
@click.option("--bool", "kind", flag_value="bool")
@click.option("--int", "kind", flag_value="int")
@click.option("--num", "kind", flag_value="num")
@click.option("--bool-or-int", "kind", flag_value="bool-or-int")
@click.option("--get", is_flag=True)
@click.option("--get-all", is_flag=True)
@click.option("--get-regex", "--get-regexp", "get_regex", is_flag=True)
@click.option("--add", is_flag=True)
@click.option("--replace-all", is_flag=True)
@click.option("--unset", is_flag=True)
@click.option("--unset-all", is_flag=True)
@click.option("--rename-section", is_flag=True)
@click.option("--remove-section", is_flag=True)
@click.option("-l", "--list", "list_all", is_flag=True)
@click.option("-e", "--edit", is_flag=True)
@chdir.for_click
@as_json.for_click
def config_command(
    *,
    words: tuple[str, ...],
    file: Path | None,
    place: str | None,
    kind: str | None,
    as_json: bool,
    **actions: bool,
) -> None:
    """Read and write sqitch.conf, as `git config` does with Git's.

    \b
      turnkeep config core.engine pg
      turnkeep config deploy.verify --bool
      turnkeep config --user user.name 'Ann Example'
      turnkeep config --list
    """  # noqa: D301
    from turnkeep.sqitch import authoring, configuring  # noqa: PLC0415
    from turnkeep.sqitch.conffile import ConfigFile  # noqa: PLC0415

    wanted = [action for action in ACTIONS if actions[action]]
    if len(wanted) > 1:
        raise click.UsageError("Only one action at a time.")
    if file and place:
        raise click.UsageError("Only one config file at a time.")
    action = wanted[0] if wanted else "set" if len(words) > 1 else "get"
    files = configuration.files(Path(), os.environ)
    written = ConfigFile(file or files[place or "local"])
    first, second, pattern = (*words, None, None, None)[:3]
    read = {"one": written.path} if file or place else files
    if action == "edit":
        authoring.edit(configuration.load(Path()), [written.path])
        return
    if action != "list_all" and not first:
        raise click.UsageError("Wrong number of arguments.")
    if action == "list_all" or action.startswith("get"):
        found = configuring.find(read, action, first or "", second, kind)
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            is_named = action in ("list_all", "get_regex")
            lines = configuring.lines(found, are_named=is_named)
            click.echo("\n".join(lines) + "\n" * (action == "list_all"))
        if not found and action != "list_all":
            sys.exit(1)
        return
    needed = 2 if action in ("set", "add", "replace_all", "rename_section") else 1
    if len(words) < needed:
        raise click.UsageError("Wrong number of arguments.")
    configuring.change(written, action, first or "", second, pattern=pattern, kind=kind)


def _list(account: Account, found: dict[str, str], what: str, verbose: int) -> None:
    for name, uri in found.items():
        account(f"{name}\t{uri}" if verbose else name)
    account.end(**{what: found})


def _show(account: Account, names: dict[str, str], *, is_engine: bool) -> None:
    from turnkeep.sqitch import configuring  # noqa: PLC0415

    config = configuration.load(Path())
    for name, target_name in names.items():
        target = configuration.target(config, Path(), target_name)
        of = target_name if is_engine else None
        for line in configuring.describe(name, target, of):
            account(line)


def _usage(action: str, known: Sequence[str]) -> click.UsageError:
    if action not in known:
        return click.UsageError(f'Unknown action "{action}"')
    return click.UsageError("Wrong number of arguments.")
