"""``turnkeep export``: what others run."""

from __future__ import annotations

import click

from turnkeep import quoting

JOBS = (
    (
        "cleanup",
        "*/5 * * * *",
        "select public.cleanup_orphaned_files(max_files => 10000)",
    ),
    ("search", "* * * * *", "select public.index_messages(10000)"),
    ("events", "17 * * * *", "select public.prune_events(max_events => 100000)"),
    ("cache", "*/5 * * * *", "select public.cache_purge(10000)"),
)
"""Name, when, what: each is bounded, and goes on where the last one stopped."""
PUMP = """select cron.schedule(
    'turnkeep pump',
    case
        when string_to_array(regexp_replace(x.extversion, '-.*', ''), '.')::integer[]
            >= '{1,5}'
        then '5 seconds'
        else '* * * * *'
    end,
    $$select public.pump_events(1000)$$
)
from pg_extension as x
where x.extname = 'pg_cron';"""
HISTORY = """select cron.schedule(
    'turnkeep history',
    '43 3 * * *',
    $$
    delete from cron.job_run_details as d
    using cron.job as j
    where j.jobid = d.jobid
      and j.jobname like 'turnkeep %'
      and d.end_time < now() - interval '7 days'
    $$
);"""
REMOVAL = """select cron.unschedule(j.jobid)
from cron.job as j
where j.jobname like 'turnkeep %';"""


BUCKETS = """insert into storage.buckets (id, name, public)
values
    ('user-files', 'user-files', false),
    ('generated-files', 'generated-files', false)
on conflict do nothing;"""
POLICIES = {
    "turnkeep: files of one's own folder": (
        "storage.objects",
        """for select to authenticated
using (
    bucket_id in ('user-files', 'generated-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
)""",
    ),
    "turnkeep: uploads to one's own folder": (
        "storage.objects",
        """for insert to authenticated
with check (
    bucket_id in ('user-files', 'generated-files')
    and (storage.foldername(name))[1] = (select auth.uid())::text
)""",
    ),
    "turnkeep: events of one's own": (
        "realtime.messages",
        """for select to authenticated
using (
    extension = 'broadcast'
    and (select realtime.topic()) = 'user:' || (select auth.uid())::text
)""",
    ),
}
"""Name, its table, and what it says: the folder is the first part of a path."""


@click.group()
def export_command() -> None:
    """Print what others run: SQL for pg_cron, for Supabase."""


@export_command.command("cron")
@click.option("--remove", is_flag=True, help="Print what takes the jobs away again.")
def cron(*, remove: bool) -> None:
    """Print SQL for pg_cron: the database's part of turnkeep sweep.

    Run it in the database of Turnkeep, as the role that deployed it; pg_cron must be
    set up for that database. Running it again changes the jobs to what it says. The
    bytes in the outbox still need `turnkeep sweep`: a database cannot delete them.

    \b
      turnkeep export cron | psql "$TURNKEEP_DATABASE_URL"
      turnkeep export cron --remove | psql "$TURNKEEP_DATABASE_URL"
    """  # noqa: D301
    click.echo(REMOVAL if remove else schedule())


@export_command.command("supabase")
@click.option("--remove", is_flag=True, help="Print what drops the policies again.")
def supabase(*, remove: bool) -> None:
    """Print SQL for a Supabase project: buckets, and what users may do with them.

    It makes the private buckets of files that name none, lets users upload to and read
    from the folder that has their id, and hear of their own conversations in Realtime.
    Deleting is left to `turnkeep sweep`. Running it again changes nothing; buckets
    stay with --remove.

    \b
      turnkeep export supabase | psql "$TURNKEEP_DATABASE_URL"
      turnkeep export supabase --remove | psql "$TURNKEEP_DATABASE_URL"
    """  # noqa: D301
    statements = [] if remove else [BUCKETS]
    for name, (table, rule) in POLICIES.items():
        policy = quoting.identifier(name)
        statements.append(f"drop policy if exists {policy} on {table};")
        if not remove:
            statements.append(f"create policy {policy} on {table} {rule};")
    click.echo("\n".join(statements))


def schedule() -> str:
    """Give a statement for each job; names are what pg_cron knows them by."""
    statements = [
        f"select cron.schedule('turnkeep {name}', '{when}', $${what}$$);"
        for name, when, what in JOBS
    ]
    return "\n".join(
        [
            "-- Turnkeep's housekeeping by pg_cron. Times are UTC.",
            *statements,
            "-- As often as this pg_cron can: it knows seconds from 1.5 on.",
            PUMP,
            "-- pg_cron itself keeps a record of every run, for ever.",
            HISTORY,
        ]
    )
