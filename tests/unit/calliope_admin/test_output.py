"""What the operator's command prints."""

import json

from calliope.contracts.assistants import Deleted
from calliope_admin.output import Output, table, visible


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("+15550001111", "twilio"), ("+1555", None)]
    assert table(("NUMBER", "CARRIER"), rows, none="none").splitlines() == [
        "NUMBER        CARRIER",
        "+15550001111  twilio",
        "+1555",
    ]


def test_no_rows_are_a_sentence() -> None:
    assert table(("NUMBER",), [], none="There are none.") == "There are none."


def test_scripts_get_one_json_document() -> None:
    output = Output({"gone": Deleted(id="+1555")}, "gone")
    assert json.loads(output.rendered(as_json=True)) == {"gone": {"id": "+1555"}}
    assert output.rendered(as_json=False) == "gone\n"


def test_what_a_terminal_would_obey_or_hide_is_written_out() -> None:
    assert visible("Büro\n\x1b[2J\u202e\u200b 東京") == "Büro\\n\\x1b[2J\\u202e\\u200b 東京"
    assert table(("NAME",), [("a\x1b[31m",)], none="none").splitlines() == ["NAME", "a\\x1b[31m"]
