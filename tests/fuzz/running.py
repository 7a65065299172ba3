"""The run: who calls, what may come back, and what has to stand at the end."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql

from fuzz.values import Generator, Names, as_parameter
from gateway.running import running
from support.functions import core_functions, public_functions
from turnkeep.demo.invariants import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from gateway.running import Gateway
    from support.functions import PublicFunction

VICTIM = "aaaaaaaa-0000-4000-8000-000000000001"
CALLER = "bbbbbbbb-0000-4000-8000-000000000002"
SERVED = "cccccccc-0000-4000-8000-000000000003"
"""For whom the service calls."""
TABLES = ("conversations", "messages", "files", "conversation_files")
TOKEN = re.compile(r"tk[0-9a-f]{12}")
"""What marks every text of the victim's, each with another."""
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
THROUGH_GATEWAY = 0.2
"""Share of the calls that go over HTTP."""
BY_SERVER = {
    *("22P02", "22P05", "22003", "22007", "22008", "22015", "22021", "42501"),
    # What the gateway says itself.
    *("PGRST102", "PGRST202"),
    # What psycopg refuses to send: a NUL, half a surrogate pair.
    "client",
}
"""What may come before a function is reached."""
INVARIANTS = {
    "a thread with a gap": """
        select count(*) from public.conversations as c
        where c.next_seq - 1 <> (
            select count(*) from public.messages as m
            where m.conversation_id = c.id and m.owner_id = c.owner_id
        )
        or c.next_seq - 1 <> (
            select coalesce(max(m.seq), 0) from public.messages as m
            where m.conversation_id = c.id and m.owner_id = c.owner_id
        )
    """,
    "an orphan's mark that is wrong": MARKS,
    "a file outside its owner's folder": f"""
        select count(*) from public.files as f
        where f.owner_id = '{CALLER}' and f.storage_path not like '{CALLER}/_%'
    """,  # noqa: S608
    "rows of somebody that nobody is": f"""
        select count(*) from (
            select owner_id from public.conversations
            union all select owner_id from public.messages
            union all select owner_id from public.files
        ) as o
        where o.owner_id not in (
            '{VICTIM}', '{CALLER}', '{SERVED}', '{UUID(int=0)}'
        )
    """,  # noqa: S608
}


@dataclass
class Findings:
    """What a run has seen."""

    calls: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """What is wrong: nothing, of a database that is right."""


class Fuzz:
    """One caller who tries, on a database with a victim."""

    def __init__(
        self, connection: psycopg.Connection[Any], gateway: Gateway, seed: int
    ) -> None:
        """Let ``connection``, which has all rights, put the victim's rows there."""
        self.connection = connection
        self.chance = random.Random(seed)  # noqa: S311
        self.found = Findings()
        self.written: set[str] = set()
        """What is the victim's, and what the caller has stored as its own."""
        self.functions = public_functions(connection)
        self.core = core_functions(connection)
        self.documented = {c for f in self.functions for c in f.documented}
        self.clients = {
            "authenticated": gateway.client(token=gateway.user_token(CALLER)),
            "anon": gateway.client(),
            "service_role": gateway.client(gateway.service_key),
        }
        self.names = {
            "authenticated": Names(CALLER, VICTIM),
            # The service works for one owner, and does not name the victim.
            "service_role": Names(SERVED, SERVED),
        }
        self.names["anon"] = self.names["authenticated"]
        for name in ("authenticated", "service_role"):
            self._begin(name)
        self._victim()

    def close(self) -> None:
        """Close the connections."""
        for client in self.clients.values():
            client.close()

    def _begin(self, role: str) -> None:
        owner = self.names[role].owner_id
        reply = self.connection.execute(
            "select append_turn('mine 0', %s, %s, owner_id => %s)",
            [
                '[{"role": "user", "content": "Which platform?"}]',
                json.dumps([{"storage_path": f"{owner}/{n}"} for n in range(3)]),
                owner,
            ],
        ).fetchone()
        self._learn(role, reply[0] if reply else {})

    def _victim(self) -> None:
        """Give the victim conversations, and the caller the names of all it has."""
        words = [f"tk{self.chance.getrandbits(48):012x}" for _ in range(60)]
        for n in range(5):
            some = words[n * 10 : n * 10 + 10]
            self.connection.execute(
                "select append_turn(%s, %s, %s, %s, %s, %s, %s)",
                [
                    some[0],
                    json.dumps(
                        [{"role": "user", "content": f"platform {some[1]}"}] * 3
                    ),
                    json.dumps(
                        [
                            {"storage_path": f"{VICTIM}/{some[2]}", "sha256": "0" * 64},
                            {
                                "storage_path": f"{VICTIM}/{some[3]}",
                                "original_name": some[4],
                            },
                        ]
                    ),
                    some[5],
                    some[6],
                    json.dumps({"a": some[7]}),
                    VICTIM,
                ],
            )
        self.connection.execute("select index_messages()")
        names = self.names["authenticated"]
        for table in TABLES:
            for (row,) in self.connection.execute(
                sql.SQL("select to_jsonb(t) from {} as t where owner_id = %s").format(
                    sql.Identifier(table)
                ),
                [VICTIM],
            ).fetchall():
                names.others += [row[key] for key in row if key.endswith("id")][:1]
                names.other_texts += [
                    row[key]
                    for key in ("continuation_id", "storage_path", "request_id")
                    if row.get(key)
                ]
        self.ids = set(names.others)
        self.before = self._state()

    def _state(self) -> dict[str, Any]:
        """Give everything that the victim has."""
        return {
            table: self.connection.execute(
                sql.SQL(
                    "select count(*), md5(string_agg(t::text, '' order by t::text)) "
                    "from {} as t where owner_id = %s"
                ).format(sql.Identifier(table)),
                [VICTIM],
            ).fetchone()
            for table in TABLES
        }

    def run(self, calls: int) -> Findings:
        """Make some calls, up to ten problems, then look at what is left."""
        for _ in range(calls):
            self.step()
            if len(self.found.problems) >= 10:
                break
        if self._state() != self.before:
            self.found.problems.append("the other owner's rows are not what they were")
        for name, query in INVARIANTS.items():
            row = self.connection.execute(query.encode()).fetchone()
            if row and row[0]:
                self.found.problems.append(f"{name}: {row[0]}")
        return self.found

    def step(self) -> None:
        """Make one call, and judge the answer."""
        draw = self.chance.random()
        role = (
            "service_role" if draw < 0.1 else "anon" if draw < 0.13 else "authenticated"
        )
        by_http = self.chance.random() < THROUGH_GATEWAY
        if role != "service_role" and self.chance.random() < 0.05:
            self._read_table(role, by_http=by_http)
            return
        functions = self.functions if by_http else [*self.functions, *self.core]
        function = self.chance.choice(functions)
        generator = Generator(self.chance, self.names[role])
        arguments = {
            name: generator.value(name, kind)
            for name, kind in function.arguments.items()
            # Left out, where it has a default.
            if name in function.needed or self.chance.random() < 0.5
        }
        if role == "service_role" and "owner_id" in function.names:
            arguments["owner_id"] = generator.one_of(None, SERVED, CALLER, "no uuid")
        self.found.calls[f"{function.schema}.{function.name}"] += 1
        call = self._by_http if by_http else self._directly
        code, said = call(role, function, arguments)
        self.found.outcomes[code] += 1
        self._judge(role, function, arguments, code, said)

    def _directly(
        self, role: str, function: PublicFunction, arguments: dict[str, Any]
    ) -> tuple[str, str]:
        """Call a function in a session of the role, with the caller's claims."""
        kinds = function.arguments
        query = sql.SQL("select to_jsonb(r) from {}({}) as r").format(
            sql.Identifier(function.schema, function.name),
            sql.SQL(", ").join(
                sql.SQL("{} => %s::{}").format(sql.Identifier(n), sql.SQL(kinds[n]))
                for n in arguments
            ),
        )
        texts = [as_parameter(value, kinds[name]) for name, value in arguments.items()]
        return self._execute(role, query, texts)

    def _execute(
        self, role: str, query: sql.Composable, texts: list[str | None]
    ) -> tuple[str, str]:
        claims = {"sub": CALLER} if role == "authenticated" else {}
        try:
            with self.connection.transaction():
                self.connection.execute(
                    "select set_config('role', %s, true), "
                    "set_config('request.jwt.claims', %s, true)",
                    [role, json.dumps({**claims, "role": role})],
                )
                rows = self.connection.execute(query, texts).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None and not self.connection.closed:
                return "client", ""
            fields = ("message_primary", "message_detail", "message_hint", "context")
            return error.sqlstate or "lost", " ".join(
                str(getattr(error.diag, name)) for name in fields
            )
        except UnicodeEncodeError:
            return "client", ""
        return "done", json.dumps([row[0] for row in rows], default=str)

    def _by_http(
        self, role: str, function: PublicFunction, arguments: dict[str, Any]
    ) -> tuple[str, str]:
        # Pure ASCII: half a surrogate pair has no other form.
        body = json.dumps(arguments).encode()
        headers = {"Content-Type": "application/json"}
        client = self.clients[role]
        return _outcome(
            client.post(f"/rpc/{function.name}", content=body, headers=headers)
        )

    def _read_table(self, role: str, *, by_http: bool) -> None:
        table = self.chance.choice(TABLES)
        self.found.calls[f"read {table}"] += 1
        if by_http:
            code, said = _outcome(self.clients[role].get(f"/{table}"))
        else:
            query = sql.SQL("select to_jsonb(t) from {} as t")
            code, said = self._execute(role, query.format(sql.Identifier(table)), [])
        self.found.outcomes[code] += 1
        if code not in {"done", "42501"}:
            self.found.problems.append(
                f"reading {table} as {role}: {code} {said[:200]}"
            )
        self._look(f"reading {table} as {role}", "", said)

    def _judge(
        self,
        role: str,
        function: PublicFunction,
        arguments: dict[str, Any],
        code: str,
        said: str,
    ) -> None:
        allowed = (
            function.documented if function.schema == "public" else self.documented
        )
        sent = json.dumps(arguments)
        where = f"{function.schema}.{function.name} as {role}"
        if code != "done" and code not in BY_SERVER | allowed:
            self.found.problems.append(f"{where}: {code} {said[:300]} ({sent[:300]})")
        if role == "service_role":
            return
        self._look(where, sent, said)
        if code == "done":
            self._learn(role, json.loads(said))
            # The caller's own from now on: it may have named a conversation like that.
            self.written |= set(TOKEN.findall(sent)) | ids_in(
                json.dumps(
                    {
                        name: value
                        for name, value in arguments.items()
                        if function.arguments[name] in {"text", "jsonb"}
                    }
                )
            )

    def _look(self, where: str, sent: str, said: str) -> None:
        """Look in an answer for what is the victim's and was not in the question."""
        theirs = set(TOKEN.findall(said)) | ids_in(said) & self.ids
        leaked = sorted(theirs - set(TOKEN.findall(sent)) - ids_in(sent) - self.written)
        if leaked:
            self.found.problems.append(
                f"{where} tells {leaked[:5]} (asked: {sent[:300]})"
            )

    def _learn(self, role: str, reply: Any) -> None:
        """Remember the names that a reply to append_turn has."""
        for one in reply if isinstance(reply, list) else [reply]:
            if isinstance(one, dict) and "conversation_id" in one and "files" in one:
                names = self.names[role]
                names.conversations.append(one["conversation_id"])
                names.files += [file["id"] for file in one["files"]]


def ids_in(text: str) -> set[str]:
    """Find the ids in a text."""
    return set(UUIDS.findall(text.lower()))


def _outcome(answer: httpx.Response) -> tuple[str, str]:
    if answer.is_success:
        return "done", answer.text or "null"
    said = answer.json()
    return said.get("code") or f"HTTP {answer.status_code}", answer.text


@contextmanager
def fuzz(url: str, seed: int) -> Iterator[Fuzz]:
    """Prepare a database that has the project deployed, and nothing in it."""
    with (
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
        running(url) as gateway,
    ):
        one = Fuzz(connection, gateway, seed)
        try:
            yield one
        finally:
            one.close()
