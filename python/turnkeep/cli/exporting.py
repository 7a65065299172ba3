"""``turnkeep export``: what others run."""

from __future__ import annotations

import click

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


@click.group()
def export_command() -> None:
    """Print what other programs run: SQL for pg_cron."""


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
