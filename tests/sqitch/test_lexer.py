"""Scripts are split and interpolated as psql does."""

from __future__ import annotations

import pytest

from turnkeep import quoting
from turnkeep.sqitch.errors import ScriptError
from turnkeep.sqitch.lexer import Command, Scanner

from .reading import statements

ATOMIC = """create function f() returns int begin atomic
    select 1; select case when true then 2 end;
end"""
REPLACED = ATOMIC.replace("create function", "create or replace procedure")
VARIABLES = {"t": "my table", "n": "42", "q": "it's", "b": "a\\b", "two": "1; select 2"}


def split(text: str) -> list[str]:
    return [each.sql for each in statements(text, VARIABLES)]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("select 1", ["select 1"]),
        (";;select 1;;", ["select 1"]),
        ("-- a; b\nselect 1; -- c", ["select 1"]),
        ("/* a; /* b; */ c; */ select 1;", ["select 1"]),
        ("select ';', 'it''s;';", ["select ';', 'it''s;'"]),
        (r"select E'\';'; select 2;", [r"select E'\';'", "select 2"]),
        (r"select '\'; select 2;", [r"select '\'", "select 2"]),
        ("select 'a'\n  ';b';", ["select 'a'\n  ';b'"]),
        ("select E'a'\n'\\'; select 2;", ["select E'a'\n'\\'", "select 2"]),
        ('select 1 as ";""a";', ['select 1 as ";""a"']),
        ('select U&"d\\0061;t";', ['select U&"d\\0061;t"']),
        ("select $$;$$, $a$ $$ ; $a$;", ["select $$;$$, $a$ $$ ; $a$"]),
        ("select a$b$c; select d$b$;", ["select a$b$c", "select d$b$"]),
        ("select $1; select 2;", ["select $1", "select 2"]),
        (
            "create rule r as on insert to t do also (select 1; select 2);",
            ["create rule r as on insert to t do also (select 1; select 2)"],
        ),
        (
            f"{ATOMIC}; {REPLACED}; select 3;",
            [ATOMIC, REPLACED, "select 3"],
        ),
        ("begin; select 1; end; select 2;", ["begin", "select 1", "end", "select 2"]),
        (r"select 1 \; select 2;", ["select 1 ; select 2"]),
        (rf"select 1 \; {ATOMIC}; select 2;", [f"select 1 ; {ATOMIC}", "select 2"]),
    ],
)
def test_a_script_is_split_at_the_right_semicolons(
    text: str, statements: list[str]
) -> None:
    assert split(text) == statements


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Select a,b.c From\n t -- ;\n;", "select a , b . c from t"),
        ("select 12, 1.5 , x1 = 3 \t;", "select 12 , 1.5 , x1 = 3"),
        ("select e'a', b'1', n 'x', é$É;", "select ' , ' , n ' , é$é"),
        ("insert into T (a, b.c) values (1, 2), (3)", "insert into t ( values ( , ("),
        ("select" + " Aa" * 99, "select" + " aa" * 63),
    ],
)
def test_the_tokens_outside_parentheses_tell_what_a_statement_is(
    text: str, tokens: str
) -> None:
    (found,) = statements(text, {})
    assert " ".join(found.tokens) == tokens


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("select :n;", "select 42"),
        ("select :'q';", "select 'it''s'"),
        ("select :'b';", "select  E'a\\\\b'"),
        ('table :"t";', 'table "my table"'),
        ("select :{?n}, :{?nosuch};", "select TRUE, FALSE"),
        ("select :nosuch, :'nosuch';", "select :nosuch, :'nosuch'"),
        ("select :nosuch$a$;$a$;", "select :nosuch$a$;$a$"),
        ("select '1'::n, a[1:n];", "select '1'::n, a[142]"),
        (
            "select ':n', \":n\", $$:n$$, $x$:'q'$x$;",
            "select ':n', \":n\", $$:n$$, $x$:'q'$x$",
        ),
        ("select 1 /* :n */, 2;", "select 1 /* :n */, 2"),
        ("select f(a := 1);", "select f(a := 1)"),
        ("select '{\"a\":n}';", "select '{\"a\":n}'"),
    ],
)
def test_variables_are_replaced_where_psql_replaces_them(text: str, sql: str) -> None:
    assert split(text) == [sql]


def test_a_value_may_contain_a_semicolon() -> None:
    assert split("select :two;") == ["select 1", "select 2"]


def test_a_variable_that_contains_itself_is_not_expanded_for_ever() -> None:
    (statement,) = statements("select :a;", {"a": "1, :a"})
    assert statement.sql == "select 1, :a"


@pytest.mark.parametrize(
    ("command", "value"),
    [
        (r"\set v 7", "7"),
        (r"\set v a b", "ab"),
        (r"\set v 'a b'", "a b"),
        (r"\set v 'it''s'", "it's"),
        (r"\set v 'a\tb\x41\101'", "a\tbAA"),
        (r"\set v :n", "42"),
        (r"\set v x:n", "x42"),
        (r"\set v :'q'", "'it''s'"),
        (r'\set v "a b"', '"a b"'),
        (r"\set v", ""),
        (r"\set v 1 -- not a comment", "1--notacomment"),
    ],
)
def test_set_reads_its_arguments_as_psql_does(command: str, value: str) -> None:
    (statement,) = statements(f"{command}\nselect :'v';", VARIABLES)
    assert statement.sql == f"select {quoting.literal(value)}"


def test_set_does_not_reach_the_variables_of_the_caller() -> None:
    statements("\\set n 1\nselect :n;", VARIABLES)
    assert VARIABLES["n"] == "42"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select 1;\n\\watch", r"x.sql:2: \watch is not supported"),
        ("\\i nosuch.sql\n", "x.sql:1: nosuch.sql cannot be included: No such file"),
        ("\\i `echo x`\n", r"x.sql:1: \i of a file that only the run can name"),
        ("select 1 \\g (format=csv)\n", r"x.sql:1: \g with options is not supported"),
        ("\\nosuch\n", r"x.sql:1: invalid command \nosuch"),
        ("\\if 0\n\\nosuch\n\\endif\n", r"x.sql:2: invalid command \nosuch"),
        ("\\if 1\nselect 1;\n", r"x.sql: the file ends inside an \if"),
        ("\\else\n", r"x.sql:1: \else: no matching \if"),
        ("\\if 1\n\\else\n\\elif 1\n\\endif", r"x.sql:3: \elif: cannot occur after"),
        ("\\copy t\n", r"x.sql:1: \copy: parse error"),
        ("\\restrict a\n\\echo b\n", r"x.sql:2: \echo behind \restrict"),
        ("\\set a 'b\n", "x.sql:1: a quote is not closed"),
        ("\\set ON_ERROR_STOP off\n", r"x.sql:1: \set ON_ERROR_STOP off is not"),
        ("\\set ON_ERROR_ROLLBACK on\n", r"x.sql:1: \set ON_ERROR_ROLLBACK on is"),
        ("\\set 1-a 2\n", 'x.sql:1: invalid variable name: "1-a"'),
        (
            "copy t from stdin \\; table t;\n1\n\\.\n",
            "x.sql:1: \\; and COPY FROM STDIN",
        ),
        ("select 1;\nselect 'a;\n", "x.sql:2: a string is not closed"),
        ("select 1;\n/* a", "x.sql:2: a comment is not closed"),
        ("\n\nselect $a$;", "x.sql:3: $a$ is not closed"),
        ('select "a;', "x.sql:1: a quoted name is not closed"),
    ],
)
def test_what_only_psql_could_do_is_refused_with_its_line(
    text: str, message: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        split(text)
    assert str(caught.value).startswith(message)


def test_a_switch_may_be_set_to_what_it_is() -> None:
    assert split("\\set ON_ERROR_STOP 1\n\\set ON_ERROR_STOP on\nselect 1;") == [
        "select 1"
    ]


def test_statements_know_their_lines() -> None:
    text = "-- one\n\nselect\n  1;\n\\set v 'a'\nselect 2,\n  :'v',\n  3;"
    first, second = statements(text, {})
    assert (first.line, second.line) == (3, 6)
    assert second.sql == "select 2,\n  'a',\n  3"
    assert second.where_at(second.sql.index("3") + 1) == "x.sql:8"


def test_a_value_with_line_breaks_does_not_move_the_lines_behind_it() -> None:
    (statement,) = statements("select :'v',\n  nosuch;", {"v": "a\nb\nc"})
    assert statement.where_at(statement.sql.index("nosuch") + 1) == "x.sql:2"


def test_a_command_that_writes_a_nul_character_is_refused() -> None:
    scanner = Scanner("\n\\set a `x`\n", "x.sql", lambda _: None, lambda _: "\0")
    assert isinstance(scanner.next(), Command)
    with pytest.raises(ScriptError, match=r"x\.sql:2: .* a NUL character"):
        scanner.arguments()
