"""`make assistant`: the assistant of a file is created or replaced by its name, and gets a number."""

import json
from pathlib import Path
from typing import Any

import pytest

from calliope_local import assistant_file
from calliope_local.assistant_file import AssistantFileError
from calliope_local.call.numbers import NumberError
from support.running import ASSISTANT, LINE, Answers, a_refusal, answering, up

DOCUMENT = {"name": "Practice", "webhook_url": "http://127.0.0.1:8090/hooks/mine"}


def run(answers: Answers, folder: Path, document: dict[str, Any], *arguments: str) -> int:
    file = folder / "mine.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    with up(answers, folder) as local:
        return assistant_file.main(["--file", str(file), *arguments], local)


def test_a_new_assistant_is_created_and_answers_the_first_free_example_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering([LINE], []) as answers:
        answers.say("POST /api/v1/assistants", ASSISTANT | {"id": "asst_2", "revision": 1, "webhook_secret": "whsec_1"})
        answers.say("PUT /api/v1/phone-numbers/+15550002223", {})

        assert run(answers, tmp_path, DOCUMENT) == 0

    assert answers.bodies("POST /api/v1/assistants") == [
        {"name": "Practice", "webhook_url": f"{answers.url}/hooks/mine"}
    ]
    assert answers.bodies("PUT /api/v1/phone-numbers/+15550002223") == [{"assistant_id": "asst_2", "carrier": "twilio"}]
    told = capsys.readouterr().out
    assert "Created “Practice”, revision 1: asst_2" in told
    assert "whsec_1" in told
    assert f"was read as {answers.url}" in told
    assert told.rstrip().endswith("make call NUMBER=+15550002223")
    assert told.count("curl -s") == 2


def test_the_assistant_of_this_name_is_replaced_and_keeps_its_number_and_carrier(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = LINE | {"number": "+15550004444", "carrier": "telnyx"}
    with answering([own]) as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT | {"revision": 4, "webhook_secret": "••••3f9a"})
        answers.say("PUT /api/v1/phone-numbers/+15550004444", {})

        assert run(answers, tmp_path, {"name": "Practice"}) == 0

    assert answers.bodies("PUT /api/v1/phone-numbers/+15550004444") == [{"assistant_id": "asst_1", "carrier": "telnyx"}]
    told = capsys.readouterr().out
    assert "Replaced “Practice”, revision 4: asst_1" in told
    assert "3f9a" not in told


def test_what_the_api_warns_of_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"path": "llm_provider_config.model", "message": "not known at openai", "hint": "did you mean gpt-4o?"}
    account = {"path": "twilio_config", "message": "there is no account", "hint": None}
    asleep = {"path": "is_active", "message": "the assistant is switched off", "hint": None}
    with answering() as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT | {"warnings": [model]})
        answers.say("PUT /api/v1/phone-numbers/+15550002222", {"warnings": [account, asleep]})

        assert run(answers, tmp_path, {"name": "Practice"}) == 0

    told = capsys.readouterr().out
    assert "  Warning: llm_provider_config.model: not known at openai (did you mean gpt-4o?)\n" in told
    assert "  Warning: is_active: the assistant is switched off\n" in told
    assert "twilio_config" not in told  # a local stack has an account of its own at each carrier


def test_a_number_that_is_named_is_assigned(tmp_path: Path) -> None:
    with answering() as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT)
        answers.say("PUT /api/v1/phone-numbers/+15557778888", {})

        assert run(answers, tmp_path, {"name": "Practice"}, "--number", "+1 555 777 8888", "--carrier", "telnyx") == 0

    assert answers.bodies("PUT /api/v1/phone-numbers/+15557778888") == [{"assistant_id": "asst_1", "carrier": "telnyx"}]


def test_a_document_that_is_refused_is_told_field_by_field_without_json(tmp_path: Path) -> None:
    with answering([], []) as answers:
        refusal = a_refusal("the assistant document was refused", welcome_message="unknown field")
        answers.say("POST /api/v1/assistants", refusal, 422)
        with pytest.raises(AssistantFileError) as refused:
            run(answers, tmp_path, {"name": "Practice"})

    assert str(refused.value).splitlines()[0].endswith("mine.json: the assistant document was refused")
    assert str(refused.value).splitlines()[1:] == ["  welcome_message: unknown field"]


def test_a_number_that_another_assistant_answered_is_told_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dental = ASSISTANT | {"id": "asst_2", "name": "Bright Smile Dental"}
    with answering([LINE | {"assistant_id": "asst_2"}], [ASSISTANT, dental]) as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT)
        answers.say("PUT /api/v1/phone-numbers/+15550002222", {})

        assert run(answers, tmp_path, {"name": "Practice"}, "--number", "+15550002222") == 0

    assert "+15550002222 was answered by “Bright Smile Dental” until now." in capsys.readouterr().out


def test_a_number_that_it_had_already_is_taken_from_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering() as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT)
        answers.say("PUT /api/v1/phone-numbers/+15550002222", {})

        assert run(answers, tmp_path, {"name": "Practice"}) == 0

    assert "until now" not in capsys.readouterr().out


def test_fields_that_were_set_over_http_only_are_told_when_the_file_puts_them_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = ASSISTANT | {"webhook_url": "https://mine.example", "webhook_secret": "••••3f9a", "llm_provider": "groq"}
    after = ASSISTANT | {"revision": 4, "webhook_url": None, "webhook_secret": None, "llm_provider": "openai"}
    with answering(assistants=[before]) as answers:
        answers.say("PUT /api/v1/assistants/asst_1", after)
        answers.say("PUT /api/v1/phone-numbers/+15550002222", {})

        assert run(answers, tmp_path, {"name": "Practice", "llm_provider": "openai"}) == 0

    told = capsys.readouterr().out
    assert "mine.json does not have it: webhook_url. What should stay belongs into the file." in told


def test_nothing_is_told_of_defaults_when_nothing_went_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(assistants=[ASSISTANT | {"webhook_url": None}]) as answers:
        answers.say("PUT /api/v1/assistants/asst_1", ASSISTANT | {"revision": 4, "webhook_url": None})
        answers.say("PUT /api/v1/phone-numbers/+15550002222", {})

        assert run(answers, tmp_path, {"name": "Practice"}) == 0

    assert "default" not in capsys.readouterr().out


def test_a_number_that_is_none_is_refused_before_the_assistant_is_touched(tmp_path: Path) -> None:
    with answering() as answers:
        with pytest.raises(NumberError, match="030123"):
            run(answers, tmp_path, {"name": "Practice"}, "--number", "030123")

        assert answers.asked == []


def test_without_a_file_the_variable_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(AssistantFileError, match=r"^Which file\? .* make assistant FILE="):
        assistant_file.main([], tmp_path / "local.json")
