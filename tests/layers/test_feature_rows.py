"""Attributes as JSON: what jsonb takes, row by row the same as one by one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.database import Connection
from layers.feature_rows import attribute_rows, attributes_json

VALUES = st.one_of(
    st.none(), st.text(max_size=5), st.floats(), st.integers(-(2**53), 2**53), st.booleans(),
    st.sampled_from(["\x00", "a\x00b", "\\u0000", '"', "\\", "图斑", "\n"]),
)  # fmt: skip


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=8))
def test_columns_give_the_json_of_each_row(rows: list[tuple[Any, ...]]) -> None:
    columns = {name: [row[n] for row in rows] for n, name in enumerate(("b", "a", "名"))}
    expected = [attributes_json({name: values[n] for name, values in columns.items()})
                for n in range(len(rows))]  # fmt: skip
    assert list(attribute_rows(columns, len(rows))) == expected


def test_without_columns_each_row_is_empty() -> None:
    assert list(attribute_rows({}, 2)) == [b"{}", b"{}"]


@pytest.mark.parametrize("text", ["a\x00b", "\\u0000", "\\\\u0000\x00", "plain"])
def test_nul_goes_and_its_name_stays(connection: Connection, text: str) -> None:
    """jsonb refuses the character; six letters that look like its escape are text like any."""
    (made,) = attribute_rows({"t": [text], "l": [[text]]}, 1)
    assert json.loads(made) == {"t": text.replace("\x00", ""), "l": [text.replace("\x00", "")]}
    found = connection.execute("SELECT %s::jsonb ->> 't'", (made.decode(),)).fetchone()
    assert found == (text.replace("\x00", ""),)
