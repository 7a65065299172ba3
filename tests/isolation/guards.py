"""Guards of the SQL against races that no rule of tests/mutants finds.

A guard is found by its text, which must stand exactly once in its script: when the
script changes, the guard here changes with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """One thing to take out, and the spec that is about it."""

    script: str
    """Its deploy script: ``core/link_files``."""
    name: str
    """What is taken out, in words."""
    spec: str
    edits: tuple[tuple[str, str], ...]
    """Text of the script, and what stands there instead."""


def _guard(script: str, name: str, spec: str, *edits: str) -> Guard:
    pairs = zip(edits[::2], edits[1::2], strict=True)
    return Guard(script, name, spec, tuple(pairs))


APPEND_TURN = "core/append_turn"
CLEANUP = "functions/cleanup_orphaned_files"
LINK = "core/link_files"
PIN = "core/pin_files"
REGISTER = "core/register_files"
UNLINK = "core/unlink_files"
DELETE = "core/delete_conversation"
CLAIM = "functions/claim_storage_deletions"
UPSERT = "core/upsert_files"

GUARDS = (
    _guard(
        APPEND_TURN,
        "lock the conversation",
        "turn_against_turn",
        "        for no key update;\n",
        ";\n",
    ),
    _guard(
        APPEND_TURN,
        "insert on conflict do nothing",
        "first_turn_against_first_turn",
        """\
        on conflict on constraint conversations_continuation_id_owner_id_key
        do nothing
""",
        "",
    ),
    _guard(
        APPEND_TURN,
        "look again after losing the race to insert",
        "first_turn_against_first_turn",
        "        exit when v_is_new;\n",
        "        exit;\n",
    ),
    _guard(
        APPEND_TURN,
        "know who has created the conversation",
        "first_turn_against_first_turn",
        "        v_is_new := found;\n        exit when v_is_new;\n",
        "        v_is_new := true;\n        exit when found;\n",
    ),
    _guard(
        APPEND_TURN,
        "look for the request's turn",
        "request_against_itself",
        "          and not exists (\n",
        "          and true or exists (\n",
    ),
    _guard(
        APPEND_TURN,
        "look for it under the lock",
        "request_against_itself",
        "    -- Get the conversation and its lock.",
        """\
    v_unknown_ids := array(
        select m.id from public.conversations as c
        join public.messages as m on m.conversation_id = c.id
        where c.owner_id = v_owner_id
          and c.continuation_id = append_turn.continuation_id
          and m.request_id = append_turn.request_id
    );
    -- Get the conversation and its lock.""",
        """\
          and not exists (
              select from public.messages as m
              where m.owner_id = v_owner_id
                and m.conversation_id = v_conversation_id
                and m.request_id = append_turn.request_id
          );
""",
        "          and v_unknown_ids = '{}';\n",
    ),
    _guard(
        APPEND_TURN,
        "read the clock after waiting",
        "first_turn_against_first_turn",
        """\
greatest(
            clock_timestamp(), c.updated_at + interval '1 microsecond'
        )""",
        "now()",
    ),
    _guard(
        APPEND_TURN,
        "go on from the last time when the clock does not",
        "turn_against_turn",
        """\
greatest(
            clock_timestamp(), c.updated_at + interval '1 microsecond'
        )""",
        "clock_timestamp()",
    ),
    _guard(
        APPEND_TURN,
        "pin what messages speak of together with the rest",
        "named_twice_over_against_unlink",
        "                v_owner_id, v_files, v_named_ids, v_first_at\n",
        "                v_owner_id, v_files, '{}', v_first_at\n",
    ),
    _guard(
        "core/named_files",
        "link what messages speak of",
        "turn_against_cleanup",
        "coalesce(nullif(m.message -> 'file_ids', 'null'), '[]')",
        "'[]'::jsonb",
    ),
    _guard(
        "core/lock_conversation",
        "lock the conversation before files",
        "conversation_before_files",
        "    for no key update;\n",
        ";\n",
    ),
    _guard(
        PIN,
        "pin before linking",
        "link_against_cleanup",
        "            for key share\n",
        "",
    ),
    _guard(
        PIN,
        "pin in the order of ids",
        "link_against_unlink_in_order",
        "            order by w.id\n        ) as n\n",
        "            order by w.id desc\n        ) as n\n",
    ),
    _guard(
        LINK,
        "link on conflict do nothing",
        "link_against_link",
        "        on conflict on constraint conversation_files_pkey do nothing\n",
        "",
    ),
    _guard(
        LINK,
        "clear the mark",
        "link_against_cleanup",
        "    if v_is_marked then\n",
        "    if false then\n",
    ),
    _guard(
        LINK,
        "write only where there is a mark",
        "link_against_link",
        "              and (m.unlinked_since is not null or m.stored_at is null)\n",
        "",
    ),
    _guard(
        LINK,
        "lock before clearing marks",
        "link_against_link",
        "            for no key update\n",
        "",
    ),
    _guard(
        LINK,
        "clear marks in the order of ids",
        "link_against_link",
        "            order by m.id\n",
        "",
    ),
    _guard(
        UNLINK,
        "lock the files first",
        "unlink_against_unlink",
        """\
    perform
    from public.files as f
    where f.owner_id = unlink_files.owner_id
      and f.id = any (unlink_files.file_ids)
    order by f.id
    for update;
""",
        "",
    ),
    _guard(
        UNLINK,
        "lock them exclusively",
        "unlink_against_link",
        "    for update;\n",
        "    for no key update;\n",
    ),
    _guard(
        UNLINK,
        "lock in the order of ids",
        "link_against_unlink_in_order",
        "    order by f.id\n    for update;\n",
        "    for update;\n",
    ),
    _guard(
        UNLINK,
        "look for other links in a new statement",
        "unlink_against_unlink",
        """\
    perform
    from public.files as f
    where f.owner_id = unlink_files.owner_id
      and f.id = any (unlink_files.file_ids)
    order by f.id
    for update;
""",
        "",
        """\
        where f.owner_id = unlink_files.owner_id
          and f.id = any (unlinked)
        returning f.id, f.unlinked_since
""",
        """\
        from (
            select m.id
            from public.files as m
            where m.owner_id = unlink_files.owner_id
              and m.id = any (unlinked)
            order by m.id
            for update
        ) as m
        where f.owner_id = unlink_files.owner_id
          and f.id = m.id
        returning f.id, f.unlinked_since
""",
    ),
    _guard(
        UNLINK,
        "write each file that has lost a link",
        "repeatable_read",
        """\
          and f.id = any (unlinked)
        returning f.id, f.unlinked_since
""",
        """\
          and f.id = any (unlinked)
          and not exists (
              select from public.conversation_files as l
              where l.owner_id = unlink_files.owner_id
                and l.file_id = f.id
          )
        returning f.id, f.unlinked_since
""",
    ),
    _guard(
        PIN,
        "pin what is registered",
        "register_against_cleanup",
        "            for key share\n",
        "",
    ),
    _guard(
        UPSERT,
        "pin in one pass",
        "named_twice_over_against_unlink",
        "upsert_files.owner_id, file_ids || upsert_files.named_ids",
        "upsert_files.owner_id, file_ids",
    ),
    _guard(
        UPSERT,
        "insert again what was taken before the pin",
        "turn_against_cleanup",
        "for v_round in 1..10 loop",
        "for v_round in 1..1 loop",
    ),
    _guard(
        UPSERT,
        "insert on conflict do nothing",
        "register_against_register",
        "                on conflict do nothing\n",
        "",
    ),
    _guard(
        UPSERT,
        "batches of an owner queue",
        "register_crossing_keys",
        "if cardinality(upsert_files.files) > 1 then",
        "if false then",
    ),
    _guard(
        UPSERT,
        "also where one file of a batch is new",
        "register_again_against_register",
        "if cardinality(upsert_files.files) > 1 then",
        "if cardinality(array_positions(file_ids, null)) > 1 then",
    ),
    _guard(
        UPSERT,
        "insert in the order of paths",
        "register_crossing_keys",
        "                order by w.storage_path, w.bucket_id\n",
        "                order by w.ordinality\n",
    ),
    _guard(
        REGISTER,
        "renew the mark",
        "register_against_cleanup",
        "    set unlinked_since = now()\n",
        "    set unlinked_since = f.unlinked_since\n",
    ),
    _guard(
        REGISTER,
        "renew only where there is a mark",
        "register_against_link",
        "          and (m.unlinked_since is not null) is true\n",
        "",
    ),
    _guard(
        REGISTER,
        "lock before renewing",
        "register_against_link",
        "        for no key update\n",
        "",
    ),
    _guard(
        REGISTER,
        "renew in the order of ids",
        "register_against_link",
        "        order by m.id\n",
        "",
    ),
    _guard(
        CLEANUP,
        "lock the candidates",
        "link_against_cleanup",
        "        for update skip locked\n",
        "",
    ),
    _guard(
        CLEANUP,
        "skip what is locked",
        "link_against_cleanup",
        "        for update skip locked\n",
        "        for update\n",
    ),
    _guard(
        CLEANUP,
        "lock against pins",
        "link_against_cleanup",
        "        for update skip locked\n",
        "        for no key update skip locked\n",
    ),
    _guard(
        CLEANUP,
        "clear false marks",
        "false_mark_against_cleanup",
        "    set unlinked_since = null\n    where f.id = any (v_candidate_ids)\n",
        "    set unlinked_since = null\n    where false\n",
    ),
    _guard(
        CLEANUP,
        "look for links in a new statement",
        "false_mark_against_cleanup",
        "        where f.unlinked_since <= now() - v_grace\n"
        "        order by f.unlinked_since\n"
        "        limit v_max_files\n"
        "        for update",
        """\
        where f.unlinked_since <= now() - v_grace
          and not exists (
              select from public.conversation_files as l
              where l.owner_id = f.owner_id
                and l.file_id = f.id
          )
        order by f.unlinked_since
        limit v_max_files
        for update""",
        "    set unlinked_since = null\n    where f.id = any (v_candidate_ids)\n",
        "    set unlinked_since = null\n    where false\n",
    ),
    _guard(
        CLEANUP,
        "delete only what is still marked",
        "false_mark_against_cleanup",
        "          and (f.unlinked_since is not null) is true\n",
        "",
    ),
    _guard(
        UPSERT,
        "refuse a path whose object is being deleted",
        "claim_against_register",
        "          and (s.leased_by is null or s.due_at <= now());\n",
        ";\n",
    ),
    _guard(
        CLAIM,
        "lock what is claimed",
        "claim_against_register",
        "        for update skip locked\n",
        "",
    ),
    _guard(
        CLAIM,
        "wait for nobody",
        "claim_against_register",
        "        for update skip locked\n",
        "        for update\n",
    ),
    _guard(
        DELETE,
        "lock the conversation exclusively",
        "delete_against_turn",
        "    for update;\n",
        ";\n",
    ),
    _guard(
        DELETE,
        "remember the requests",
        "delete_against_turn",
        "      and m.request_id is not null\n",
        "      and false\n",
    ),
    _guard(
        CLEANUP,
        "leave to another cleanup what it has taken",
        "cleanup_against_cleanup",
        "        for update skip locked\n",
        "        for update\n",
    ),
    _guard(
        UNLINK,
        "mark what has lost its last link",
        "unlink_against_cleanup",
        "            ) then now()\n",
        "            ) then f.unlinked_since\n",
    ),
    _guard(
        PIN,
        "pin what is registered against an unlink",
        "register_against_unlink",
        "            for key share\n",
        "",
    ),
    _guard(
        UPSERT,
        "take what is registered anew out of the outbox",
        "outbox_against_register",
        """\
        delete from turnkeep.storage_deletions as s
        using unnest(upsert_files.files) as w
        where s.storage_path = w.storage_path
          and s.bucket_id = w.bucket_id
          and (s.leased_by is null or s.due_at <= now());
""",
        "",
    ),
    _guard(
        "functions/finish_storage_deletions",
        "finish only what is leased to the worker",
        "finish_against_claim",
        """\
    where s.id = any (v_done)
      and s.leased_by = finish_storage_deletions.worker;
""",
        "    where s.id = any (v_done);\n",
    ),
    _guard(
        DELETE,
        "lock the conversation against the index",
        "index_against_delete",
        "    for update;\n",
        "    for no key update;\n",
    ),
    _guard(
        "core/index_messages",
        "let one call work and the others go",
        "index_against_index",
        "    for update skip locked;\n",
        "    for update;\n",
    ),
    _guard(
        "core/index_messages",
        "wait until who was writing has ended",
        "index_against_turn",
        "    if v_state.settling_xid <= pg_snapshot_xmin(pg_current_snapshot()) then\n",
        "    if true then\n",
    ),
    _guard(
        "core/truncate_thread",
        "lock the conversation",
        "truncate_against_turn",
        "    for update;\n",
        ";\n",
    ),
    _guard(
        "core/upsert_conversation",
        "begin again when it is deleted before the look",
        "upsert_against_delete",
        "        exit when found;\n",
        "        exit;\n",
    ),
    _guard(
        "core/forget_owner",
        "wait for who has pinned a file",
        "forget_against_turn",
        "    order by f.id\n    for update;\n",
        "    order by f.id;\n",
    ),
    _guard(
        "core/forget_owner",
        "take the files without a link with the others",
        "forget_in_order",
        "                  limit v_left\n",
        "                  limit 0\n",
    ),
    _guard(
        "core/forget_owner",
        "delete events before the deleted requests",
        "forget_against_prune",
        """\
        delete from turnkeep.events as e
        where e.owner_id = v_owner_id;

""",
        "",
        "        where d.owner_id = v_owner_id;\n",
        """\
        where d.owner_id = v_owner_id;

        delete from turnkeep.events as e
        where e.owner_id = v_owner_id;
""",
    ),
    _guard(
        "functions/cache_put",
        "leave to another call what it takes away",
        "cache_against_cache",
        "        for update skip locked\n",
        "        for update\n",
    ),
    _guard(
        "functions/prune_events",
        "prune one after the other",
        "prune_against_prune",
        "    for update;\n",
        ";\n",
    ),
    _guard(
        "functions/pump_events",
        "let one call lead",
        "pump_against_pump",
        "pg_try_advisory_xact_lock(hashtextextended('turnkeep.pump_events', 0))",
        "true",
    ),
    _guard(
        "functions/metrics",
        "tell the slowest",
        "metrics_of_functions",
        "                    order by u.self_time desc\n                    limit 10\n",
        "                    limit 10\n",
    ),
    _guard(
        "tables/conversation_files",
        "refuse to delete what a link needs",
        "plain_delete",
        """\
    references public.files (id, owner_id)
""",
        """\
    references public.files (id, owner_id) on delete cascade
""",
    ),
    _guard(
        "functions/list_events",
        "stop at the horizon",
        "events_against_late_commit",
        """
              and r.xid < v_horizon
""",
        "\n",
    ),
)
