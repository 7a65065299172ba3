"""Equal requests have one key, however they are written."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkeep.cache import Request, canonical_json

TEXTS = st.text("aeé\u0301ß中🎉\u212b ", max_size=8)


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abcdef"), VALUES | TEXTS, max_size=5))
def test_equal_requests_have_one_key(options: dict[str, Any]) -> None:
    turned = dict(reversed(options.items()))
    assert Request("p", "m", options=options) == Request("p", "m", options=turned)
    key = Request("p", "m", options=options).key
    assert Request("p", "m", options=turned).key == key
    assert Request("p", "m", options={**options, "x": None}).key == key
    assert Request("p", "m", options={**options, "x": 0}).key != key
    assert Request("p", "n", options=options).key != key
    assert Request("q", "m", options=options).key != key
    assert (
        Request("q", "m", options=options).scope
        == Request("p", "m", options=options).scope
        != Request("p", "m", temperature=1, options=options).scope
    )


@given(TEXTS)
def test_texts_are_the_same_in_any_form_of_unicode(text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    assert len({Request(form, "m").key for form in forms | {text}}) == 1


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (0.5, 0.25, False),
        (1, True, False),
        (1, "1", False),
        ([1, 2], [2, 1], False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, True),
        (None, "", False),
        ("a b", "ab", False),
        (10**20, 1e20, True),
    ],
)
def test_values_are_the_same_or_not(one: Any, other: Any, are_same: bool) -> None:  # noqa: FBT001
    assert (canonical_json([one]) == canonical_json([other])) is are_same


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 1, "1": 2}])
def test_what_has_no_one_way_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        canonical_json(value)
