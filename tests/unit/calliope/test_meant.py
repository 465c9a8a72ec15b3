"""Numbers, languages and addresses as people write them: refused with what was meant, where that is certain."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from calliope.contracts.assistants import AssignPhoneNumber
from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.stt import SttSettings
from calliope.contracts.document.tools import TransferCallTool
from calliope.contracts.errors import FieldProblem
from calliope.validation.problems import field_problems
from support.plain_words import riddles


def refused(model: type[BaseModel], document: dict[str, Any], path: str) -> FieldProblem:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(document)
    (problem,) = (found for found in field_problems(caught.value, model) if found.path == path)
    assert riddles(f"{problem.message} {problem.hint or ''}") == []
    return problem


@pytest.mark.parametrize(
    "written",
    [
        "+1 (555) 010-0199", "+1-555-010-0199", "15550100199", "tel:+15550100199", "001 555 010 0199",
        "+1.555.010.0199", "  +15550100199 ", "tel:+1-555-010-0199;ext=5", "(+1) 555 010 0199",
        "%2B15550100199", "+1\u2011555\u2011010\u20110199", "+\uff11555010\uff10199",
    ],
)  # fmt: skip
def test_a_number_is_refused_with_the_number_that_was_meant(written: str) -> None:
    problem = refused(AssignPhoneNumber, {"number": written, "spec": {}}, "number")
    assert problem.message == "must be a phone number in international form, such as +15551234567"
    assert problem.hint == "did you mean '+15550100199'?"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("12025550143", "did you mean '+12025550143'?"),
        ("(202) 555-0143", "the country code is missing: write '+12025550143' if it is a number of North America"),
        ("020 7946 0018", "the country code is missing: write it instead of the first 0, such as '+442079460018' for "
                          "Britain"),
        ("+44 (0)20 7946 0018", "did you mean '+442079460018'?"),
        ("011 44 20 7946 0018", "did you mean '+442079460018'?"),
        ("4930123456", "the + is missing, or the country code: write '+4930123456' if it begins with that code"),
    ],
)  # fmt: skip
def test_a_number_to_transfer_to_is_refused_with_what_is_missing(written: str, hint: str) -> None:
    document = {"enabled": True, "transfer_numbers": ["+15551234567", written]}
    assert refused(TransferCallTool, document, "transfer_numbers.1").hint == hint


@pytest.mark.parametrize("written", ["", "reception", "+0", "sip:anna@example.com", "+1 800 FLOWERS", "1" * 500, "+"])
def test_what_is_no_number_gets_an_example_and_no_guess(written: str) -> None:
    assert refused(AssignPhoneNumber, {"number": written, "spec": {}}, "number").hint is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [("en_US", "en-US"), ("pt br", "pt-BR"), ("English", "en"), ("de_DE.UTF-8", "de-DE"), ("zh_hant_tw", "zh-Hant-TW")],
)
def test_a_language_is_refused_with_the_code_that_was_meant(written: str, meant: str) -> None:
    assert refused(SttSettings, {"language": written}, "language").hint == f"did you mean '{meant}'?"


@pytest.mark.parametrize("written", ["the usual one", "", "12"])
def test_what_is_no_language_gets_no_guess(written: str) -> None:
    assert refused(SttSettings, {"language": written}, "language").hint is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("example.com/hook", "https://example.com/hook"),
        (" https://example.com/hook ", "https://example.com/hook"),
        ("HTTPS://example.com/hook", "https://example.com/hook"),
        ("https:/example.com/hook", "https://example.com/hook"),
        ("<https://example.com:8443/hook?a=1>", "https://example.com:8443/hook?a=1"),
    ],
)
def test_an_address_is_refused_with_the_address_that_was_meant(written: str, meant: str) -> None:
    document = {"name": "A", "llm_provider_config": {"api_key": "k"}, "webhook_url": written}
    assert refused(AssistantSpec, document, "webhook_url").hint == f"did you mean '{meant}'?"


@pytest.mark.parametrize("written", ["my hook", "ftp://example.com/hook", "anna@example.com", "hook"])
def test_what_is_no_address_gets_no_guess(written: str) -> None:
    document = {"name": "A", "llm_provider_config": {"api_key": "k"}, "webhook_url": written}
    assert refused(AssistantSpec, document, "webhook_url").hint is None
