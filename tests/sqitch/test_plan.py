"""The plan parser: Sqitch's grammar, identifiers and messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turnkeep.sqitch import plan, planparser
from turnkeep.sqitch.errors import PlanError, UnknownChangeError
from turnkeep.sqitch.identity import canonical_uri

from .conftest import HEADER, STAMP

VECTORS = Path(__file__).parent / "vectors" / "plan-parse.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["cases"]
OURS = {
    # The original dies with the exception of a library.
    "bad-timestamp": "Syntax error in {file} at line 4: "
    '"2024-13-01T10:00:00Z" is no date and time',
    # The original forgets to say where.
    "dep-space": "Syntax error in {file} at line 5: "
    'Depend object must have either "change", "tag", or "id" defined',
}


def described(parsed: plan.Plan) -> dict[str, Any]:
    """Put a plan into the form of the recordings."""
    return {
        "project": parsed.project,
        "uri": None if parsed.uri is None else canonical_uri(parsed.uri),
        "syntax_version": planparser.SYNTAX_VERSION,
        "changes": [
            {
                "name": each.name,
                "operator": each.operator,
                "note": each.note,
                "info": each.info,
                "id": each.id,
                "parent": each.parent,
                "planned_at": each.planned_at,
                "planner_name": each.planner_name,
                "planner_email": each.planner_email,
                "requires": [depend.text for depend in each.requires],
                "conflicts": [depend.text for depend in each.conflicts],
                "reworked": each.is_reworked,
                "tags": [
                    {
                        "name": f"@{tag.name}",
                        "note": tag.note,
                        "info": tag.info,
                        "id": tag.id,
                    }
                    for tag in each.tags
                ],
            }
            for each in parsed.changes
        ],
    }


def expected(case: dict[str, Any]) -> dict[str, Any]:
    """Give the recorded result, of the newer version where there are two."""
    result: dict[str, Any] = case.get("result_1_6_1", case["result"])
    for change in result.get("changes", []):
        change.pop("plan_line", None)
        for tag in change["tags"]:
            tag.pop("plan_line", None)
    return result


def parse(*lines: str, header: str = HEADER) -> plan.Plan:
    return planparser.parse(
        header + "".join(f"{line}\n" for line in lines), "sqitch.plan"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_a_recorded_plan_is_read_alike(case: dict[str, Any]) -> None:
    result = expected(case)
    message = OURS.get(case["case"], result.get("error"))
    if message is None:
        assert described(planparser.parse(case["plan"], "{file}")) == result
        return
    with pytest.raises(PlanError) as caught:
        planparser.parse(case["plan"], "{file}")
    assert caught.value.message == message
    if " at line " in message:
        line = int(message.partition(" at line ")[2].partition(":")[0])
        assert (caught.value.file, caught.value.line) == ("{file}", line)


def test_there_are_114_recordings_50_of_them_errors() -> None:
    assert len(CASES) == 114
    assert sum("error" in case["result"] for case in CASES) == 50


def test_a_dependency_error_knows_the_line_of_the_change() -> None:
    with pytest.raises(PlanError) as caught:
        parse(f"a {STAMP}", "", f"b [nosuch] {STAMP}")
    assert caught.value.line == 6


def test_bytes_that_are_not_utf8_are_an_error_with_a_line() -> None:
    with pytest.raises(PlanError, match="at line 2: byte 0xff is not UTF-8") as caught:
        planparser.decode(b"%project=p\n%uri=\xff\n", "sqitch.plan")
    assert caught.value.line == 2


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u2003", "\u3000"])
def test_the_blanks_of_all_scripts_separate(blank: str) -> None:
    at, name, email = STAMP.split(" ")
    line = blank.join(["b", "[a", "!c]", at, name, email, "#", "why"])
    change = parse(f"a {STAMP}", line).changes[1]
    assert (change.name, change.planner_name, change.note) == ("b", name, "why")
    assert [each.text for each in (*change.requires, *change.conflicts)] == ["a", "c"]


def test_a_name_may_end_in_a_combining_mark() -> None:
    assert planparser.is_name("cafe\u0301")


@pytest.mark.parametrize("name", ["a/6", ".a", "a.", "a b", "a@b", "", "a:b"])
def test_an_illegal_name_is_refused(name: str) -> None:
    assert not planparser.is_name(name)


def test_a_bare_identifier_is_a_dependency_of_any_project() -> None:
    foreign = "0123456789abcdef0123456789abcdef01234567"
    (change,) = parse(f"a [{foreign}] {STAMP}").changes
    assert change.requires[0].text == foreign
    assert f"\n  + {foreign}" in change.info


def test_an_identifier_of_the_own_project_is_looked_for_among_the_names() -> None:
    own = "p:0123456789abcdef0123456789abcdef01234567"
    with pytest.raises(PlanError, match='Unknown change "0123456789abcdef'):
        parse(f"a [{own}] {STAMP}")


def test_a_planner_called_0_is_no_planner() -> None:
    with pytest.raises(PlanError, match="Missing timestamp and planner name and email"):
        parse("a 0 <x>")


@pytest.fixture(scope="module")
def reworked() -> plan.Plan:
    return parse(
        f"a {STAMP}",
        f"f [a] {STAMP}",
        f"@v1 {STAMP}",
        f"@v1b {STAMP}",
        f"f [f@v1] {STAMP}",
        f"b {STAMP}",
        f"@v2 {STAMP}",
        f"f [f@v2] {STAMP}",
    )


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("a", 0),
        ("@v1", 1),
        ("f@v1", 1),
        ("f@v2", 2),
        ("f@HEAD", 4),
        ("a@v2", 0),
        ("HEAD", 4),
        ("@HEAD", 4),
        ("@ROOT", 0),
        ("@HEAD^", 3),
        ("@HEAD^^", 2),
        ("@HEAD^4", 0),
        ("a~", 1),
        ("a~~", 2),
        ("a~3", 3),
        ("a^", None),
        ("@HEAD~", None),
        ("nosuch", None),
        ("b@v1", None),
    ],
)
def test_a_change_is_found_by_every_kind_of_name(
    reworked: plan.Plan, key: str, index: int | None
) -> None:
    assert reworked.index_of(key) == index


def test_a_change_is_found_by_identifiers(reworked: plan.Plan) -> None:
    change = reworked.changes[1]
    assert reworked.index_of(change.id) == 1
    assert reworked.index_of(change.tags[1].id) == 1


def test_an_ambiguous_name_is_refused_with_the_choices(reworked: plan.Plan) -> None:
    with pytest.raises(UnknownChangeError) as caught:
        reworked.index_of("f")
    assert caught.value.message.splitlines()[1:] == [
        "  * f@HEAD",
        "  * f@v2",
        "  * f@v1",
    ]


def test_find_takes_the_first_of_several_instances(reworked: plan.Plan) -> None:
    found = reworked.find("f")
    assert found is reworked.changes[1]


def test_an_unknown_tag_is_named(reworked: plan.Plan) -> None:
    with pytest.raises(UnknownChangeError, match='Unknown tag "@v9"'):
        reworked.index_of("f@v9")


def test_rework_tags_come_newest_change_first(reworked: plan.Plan) -> None:
    assert reworked.changes[1].rework_tags == ("v1", "v1b")
    assert reworked.changes[2].rework_tags == ("v2",)
    assert reworked.changes[4].rework_tags == ()
