r"""Sqitch projects without Sqitch: the same plan, scripts and registry, one connection.

Any Sqitch project for PostgreSQL works, and either tool can go on where the other
stopped: identifiers, script hashes and the registry's rows are the same. What follows
is different on purpose.

*One transaction for a change.* Script, verify script and registry entry are committed
together; Sqitch runs them in three sessions, and an accident in between leaves a
deployed change that nobody recorded. The script's own outer ``BEGIN`` and ``COMMIT``
are taken away for that. A script that cannot be one transaction (``CREATE INDEX
CONCURRENTLY``, ``VACUUM``, a second ``BEGIN``, ``CALL`` outside ``BEGIN`` ...) runs
statement by statement as psql would, its registry entry is committed after it, and the
run says so first. A script without ``BEGIN`` leaves nothing behind when it fails. After
``ALTER TYPE ... ADD VALUE`` what may use the new value, the verify script too, runs
after the commit, because only then it can; when the verify script fails the change is
reverted by its revert script.
With ``--single-transaction`` all changes are one.

*Steps outside a transaction are resumed.* How far such a script came is noted, with the
step where that is possible; the next run goes on there, and rebuilds an index that an
interrupted ``CONCURRENTLY`` has left invalid.

*Locks.* All who come later queue behind a statement that queues for a lock: for half a
second at most (``--lock-wait``). Then the change is rolled back, says who is in its
way, and is tried again, for five minutes (``--max-wait``).

*A revert that would destroy rows* says how many, and is refused without ``--set
allow_data_loss=1``.

*Scripts are read before anything is deployed.* A script that is missing, is not UTF-8,
uses a psql command that is not supported, or opens a transaction that it never commits
(psql would throw the work away and Sqitch would record the change as deployed) is
refused with its file and line. So is a deploy script that is equal to another one,
which the registry would refuse after it has run.

*Verify leaves nothing behind.* A verify script is rolled back also when it says
``COMMIT``, or nothing. ``deploy`` verifies unless told not to.

*Nobody says yes for you.* ``revert`` asks; when nobody can answer, it refuses. (Sqitch
takes the end of its input for a yes, and reverts everything.)

*The wait for another run* asks again and again instead of waiting inside the server,
where its snapshot would stop the other run's ``CREATE INDEX CONCURRENTLY``.

*A newer registry* is refused by every verb that writes; ``deploy`` and ``upgrade``
bring an older one up to date.

*Errors* name the line of the script on which the server found fault, not the line on
which the statement ends. A change that requires a bare identifier of another project
works (Sqitch never comes back). Exit code 255 becomes 2.

Scripts see the session as psql would have begun it: settings, role, temporary tables,
cursors, LISTEN, prepared statements, sequences' last values and session-level advisory
locks do not reach the next script. psql's variables are interpolated with psql's rules,
and the commands that scripts use are understood; a script with others runs through psql
if there is one, and else is refused before anything is deployed.
"""

from __future__ import annotations

from turnkeep.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def deploy(conninfo: str, directory: Path) -> None:
    """Deploy the whole project in a directory, and verify each change.

    ``conninfo`` is what libpq takes. Does nothing when all is deployed. Raises
    ``turnkeep.sqitch.errors.SqitchError``; what was deployed in this call is then
    reverted, as ``turnkeep deploy`` does.
    """
    # Nobody who only reads this package's docstring should wait for the driver.
    from turnkeep.sqitch.engine import Engine  # noqa: PLC0415
    from turnkeep.sqitch.errors import DeployError  # noqa: PLC0415
    from turnkeep.sqitch.project import open_project  # noqa: PLC0415
    from turnkeep.sqitch.report import Collected  # noqa: PLC0415
    from turnkeep.sqitch.server import connect  # noqa: PLC0415

    project = open_project(directory, target=conninfo or "db:pg:")
    report = Collected()
    with connect(conninfo) as connection:
        engine = Engine(connection, project, report)
        try:
            engine.deploy()
        except DeployError as error:
            said = "\n".join([*report.errors, error.message])
            raise DeployError(said, where=error.where, hint=error.hint) from error
        finally:
            engine.release()
