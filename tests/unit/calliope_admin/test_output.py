"""What the operator's command prints."""

import json

from calliope.contracts.assistants import Deleted
from calliope_admin.output import Output, table


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
