"""The tests notice what is taken out of the database: a part of ``make mutants``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isolation.guards import GUARDS
from isolation.tester import SPECS
from mutants.__main__ import sample
from mutants.body import described, edits
from mutants.journal import Journal
from mutants.judging import PGTAP, Verdict, started
from mutants.mutant import Mutant

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 24


@pytest.mark.requires_postgresql
@pytest.mark.requires_pgtap
@pytest.mark.requires_plpgsql_check
@pytest.mark.requires_isolationtester
def test_a_sample_is_noticed() -> None:
    with started() as judge:
        chosen = sample(judge.mutants(), SIZE)
        verdicts = [judge.judge(mutant, judge.order(mutant)) for mutant in chosen]
        killers = {verdict.killer for verdict in verdicts if verdict.killer}
        assert judge.failing(killers) == []
    assert len(verdicts) == SIZE
    assert [v.mutant.id for v in verdicts if not v.killer] == []


def test_a_verdict_is_kept_until_what_it_is_about_changes(tmp_path: Path) -> None:
    one = Mutant("core/new_id", "a → true", "create or replace function a")
    two = Mutant("core/new_id", "b → true", "create or replace function b")
    near, far = PGTAP / "core/new_id.sql", PGTAP / "core/id_at.sql"
    journal = Journal(tmp_path / "journal")
    journal.add(Verdict(one, "core/new_id"), [near, far])
    journal.add(Verdict(two, None), [near, far])
    with (tmp_path / "journal").open("a") as file:
        file.write('{"mutant": "core/new_id: c')  # The run was killed here.
    Journal(tmp_path / "journal").add(Verdict(two, None), [near, far])
    journal = Journal(tmp_path / "journal")
    assert journal.verdict(one, [near]) == Verdict(one, "core/new_id")
    assert journal.verdict(two, [far, near]) == Verdict(two, None)
    assert journal.verdict(replace(one, statement="another"), [near]) is None
    assert journal.verdict(one, [far]) is None
    assert journal.verdict(two, [near]) is None


def test_each_spec_has_a_guard_without_which_it_fails() -> None:
    assert {guard.spec for guard in GUARDS} == {spec.stem for spec in SPECS}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "begin if a or b then return; end if; end",
            {"a → false", "b → false", "a or b → false", "a or b → true"},
        ),
        (
            "loop exit when a between 1 and x; end loop;",
            {"a between 1 and x → false", "a between 1 and x → true", "1 → 0"},
        ),
        (
            "(select d where a = 1 and (b or c) group by d)",
            {"a = 1 → true", "(b or c) → true"},
        ),
        (
            "f(a order by b) filter (where a is distinct from b)",
            {"order by b → nothing", "a is distinct from b → true"},
        ),
        (
            "select distinct a from b limit 1 for update skip locked;",
            {
                "distinct → nothing",
                "limit 1 → nothing",
                "for update skip locked → nothing",
                "skip locked → nothing",
                "update → no key update",
            },
        ),
        ("coalesce(a, f(b, c))", {"coalesce(a, f(b, c)) → (a)"}),
        ("greatest(a, b)", {"greatest(a, b) → (a)", "greatest(a, b) → (b)"}),
        (
            "begin perform f(a); a := 'x; y'; end",
            {"perform f(a) → null", "a := 'x; y' → null"},
        ),
        (
            "(insert into a select b on conflict do nothing returning c)",
            {"on conflict do nothing → nothing"},
        ),
        (
            "case when a then case b when 'c' then 1 end end -- where d",
            {"a → false", "a → true"},
        ),
        ("select a where b = '--' -- c\n and d;", {"b = '--' → true", "d → true"}),
        (
            "execute $query$ select a where b limit 1 $query$ using c, coalesce(d, e);",
            {"b → true", "limit 1 → nothing", "coalesce(d, e) → (d)"},
        ),
    ],
)
def test_what_guards_is_taken_out(body: str, expected: set[str]) -> None:
    assert {described(body, edit) for edit in edits(body)} == expected
