"""What is stored of an assistant document: every secret sealed, every mask understood or refused."""

import asyncio
from typing import Any

import pytest

from calliope.contracts.assistants import SealedSecret, secret_context
from calliope.contracts.document.spec import SECRET_PATHS
from calliope.contracts.errors import ErrorCode
from calliope.documents import places
from calliope.errors import CommandError
from calliope.sealed_documents import DigestKey, DocumentSealer, Owner
from calliope.secrets import Opener, Sealer, generate_key, public_key_of
from calliope.settings import EgressSettings
from calliope_assistants.model import Document, Rules, fully_sealed, masked, name_key, patched, stored_form

KEY = generate_key()
RULES = Rules(egress=EgressSettings(), calls=Sealer(public_key_of(KEY)))
SEALER = DocumentSealer(Sealer(public_key_of(KEY)), Sealer(public_key_of(generate_key())))
OWNER = Owner("org_1", "asst_1")
MINIMAL: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "sk-0123456789-3f9a"}}
EVERY_SECRET: dict[str, Any] = {
    "name": "Anna",
    "llm_provider_config": {"api_key": "sk-canary-llm-0001"},
    "llm_fallback_providers": {
        "enabled": True,
        "fallbacks": [
            {"provider": "groq", "api_key": "sk-canary-groq-0002"},
            {"provider": "xai", "api_key": "sk-canary-xai-0003"},
        ],
    },
    "tts_settings": {
        "api_key": "sk-canary-tts-0004",
        "fallbacks": [{"provider": "deepgram", "api_key": "sk-canary-tts-0005"}],
    },
    "stt_settings": {"api_key": "sk-canary-stt-0006"},
    "tools_settings": {
        "custom_tools": [
            {
                "name": "book",
                "description": "Book",
                "url": "https://example.com/b",
                "auth_token": "canary-tool-0007",
                "headers": {"X-Api-Key": "canary-header-0010", "1st.key": "canary-header-0011"},
            }
        ]
    },
    "twilio_config": {"account_sid": "AC" + "0" * 32, "auth_token": "canary-twilio-0008"},
    "telnyx_config": {"api_key": "canary-telnyx-0009", "connection_id": "1"},
}


def stored(document: Document, before: Document | None = None) -> Document:
    """What is stored of a document that the gateway has sealed."""
    sealed = asyncio.run(SEALER.seal(document, OWNER, digest_key=DigestKey("key_1", b"api key")))
    rest = {name: value for name, value in sealed.document.items() if name != "webhook_secret"}
    return stored_form(rest, OWNER, RULES, before=before, refused=sealed.refused)


def opened(document: Document, owner: Owner = OWNER) -> dict[str, str]:
    opener = Opener([KEY])
    return {
        ".".join(path): opener.open(
            SealedSecret.model_validate(container[key]),
            context=secret_context(owner.organization_id, owner.assistant_id, pattern),
        )
        for pattern in SECRET_PATHS
        for path, container, key in places(document, pattern)
        if container[key] is not None
    }


def refused(document: Document, before: Document | None = None) -> dict[str, str]:
    with pytest.raises(CommandError) as caught:
        stored(document, before)
    assert caught.value.code is ErrorCode.INVALID
    return {problem.path: problem.message for problem in caught.value.problem.fields}


def with_fallbacks(*fallbacks: dict[str, Any]) -> Document:
    return {**MINIMAL, "llm_fallback_providers": {"enabled": True, "fallbacks": list(fallbacks)}}


@pytest.mark.promise("P8")
def test_every_secret_is_sealed_and_opens_only_where_it_belongs() -> None:
    form = stored(EVERY_SECRET)
    assert "canary" not in str(form)
    assert sorted(value[-4:] for value in opened(form).values()) == [f"{n:04}" for n in range(1, 12)]


def test_an_unknown_variable_is_refused_when_it_is_written_also_by_a_patch() -> None:
    form = stored({**MINIMAL, "variables": {"house": "Bell"}, "idle_message": "Still there, at {{house}}?"})
    assert form["idle_message"] == "Still there, at {{house}}?"
    assert list(refused(patched(form, {"variables": {"house": None}}), form)) == ["idle_message"]


@pytest.mark.promise("P8")
def test_a_read_shows_no_secret() -> None:
    shown = masked(stored(EVERY_SECRET))
    assert "canary" not in str(shown)
    assert "sealed" not in str(shown)
    assert shown["llm_provider_config"]["api_key"] == "••••0001"


def test_a_read_does_not_change_what_is_stored() -> None:
    form = stored(EVERY_SECRET)
    masked(form)["name"] = "Berta"
    assert form["name"] == "Anna"
    assert len(opened(form)) == 11


def test_what_a_read_shows_can_be_written_back_whole() -> None:
    form = stored(EVERY_SECRET)
    assert stored(masked(form), form) == form


def test_a_mask_sent_with_a_new_document_is_refused() -> None:
    assert list(refused({**MINIMAL, "llm_provider_config": {"api_key": "••••3f9a"}})) == ["llm_provider_config.api_key"]


def test_a_mask_that_matches_nothing_stored_is_refused_without_repeating_it() -> None:
    problems = refused({**MINIMAL, "llm_provider_config": {"api_key": "••••zzzz"}}, stored(MINIMAL))
    assert list(problems) == ["llm_provider_config.api_key"]
    assert "zzzz" not in str(problems)


def test_a_secret_that_is_not_mentioned_in_a_patch_is_kept() -> None:
    form = stored(MINIMAL)
    after = stored(patched(form, {"description": "new"}), form)
    assert after["llm_provider_config"] == form["llm_provider_config"]
    assert after["description"] == "new"


def test_null_clears_a_secret() -> None:
    form = stored({**MINIMAL, "stt_settings": {"api_key": "dg-0123456789"}})
    assert stored(patched(form, {"stt_settings": {"api_key": None}}), form)["stt_settings"]["api_key"] is None


def test_masks_follow_their_secrets_when_a_list_is_reordered() -> None:
    form = stored(EVERY_SECRET)
    shown = masked(form)
    shown["llm_fallback_providers"]["fallbacks"].reverse()
    after = opened(stored(shown, form))
    assert after["llm_fallback_providers.fallbacks.0.api_key"] == "sk-canary-xai-0003"
    assert after["llm_fallback_providers.fallbacks.1.api_key"] == "sk-canary-groq-0002"


def test_masks_follow_their_secrets_when_an_element_is_removed() -> None:
    form = stored(EVERY_SECRET)
    shown = masked(form)
    del shown["llm_fallback_providers"]["fallbacks"][0]
    after = opened(stored(shown, form))
    assert after["llm_fallback_providers.fallbacks.0.api_key"] == "sk-canary-xai-0003"


def test_short_secrets_that_look_alike_are_never_given_to_another_provider() -> None:
    """Secrets under 12 characters all show the same mask; a reordered list must not send one vendor another's key."""
    form = stored(with_fallbacks({"provider": "groq", "api_key": "groq"}, {"provider": "xai", "api_key": "xai"}))
    shown = masked(form)
    shown["llm_fallback_providers"]["fallbacks"].reverse()
    after = opened(stored(shown, form))
    assert after["llm_fallback_providers.fallbacks.0.api_key"] == "xai"
    assert after["llm_fallback_providers.fallbacks.1.api_key"] == "groq"


def test_a_mask_that_could_stand_for_several_secrets_is_refused() -> None:
    form = stored(with_fallbacks({"provider": "groq", "api_key": "one"}, {"provider": "groq", "api_key": "two"}))
    changed = with_fallbacks(
        {"provider": "xai", "api_key": "long enough 1234"},
        {"provider": "xai", "api_key": "long enough 5678"},
        {"provider": "groq", "api_key": "••••"},
    )
    assert list(refused(changed, form)) == ["llm_fallback_providers.fallbacks.2.api_key"]


def with_tools(*tools: dict[str, Any]) -> Document:
    url = "https://example.com/"
    filled = [{"name": f"t{n}", "description": "d", "url": url, **tool} for n, tool in enumerate(tools)]
    return {**MINIMAL, "tools_settings": {"custom_tools": filled}}


def headers_of(document: Document) -> dict[str, str]:
    return {path.rpartition("headers.")[2]: value for path, value in opened(document).items() if "headers" in path}


HEADER = "tools_settings.custom_tools.0.headers"


def test_a_mask_keeps_the_value_of_its_header_in_whatever_case_the_name_is_written() -> None:
    """Short values look alike behind their masks: the name alone says whose is whose."""
    form = stored(with_tools({"headers": {"X-Api-Key": "one", "Authorization": "two"}}))
    after = stored(with_tools({"headers": {"authorization": "••••", "x-api-key": "••••"}}), form)
    assert headers_of(after) == {"authorization": "two", "x-api-key": "one"}


def test_a_header_that_is_renamed_needs_its_value_again() -> None:
    form = stored(with_tools({"headers": {"X-Api-Key": "a-long-value-3f9a"}}))
    problems = refused(with_tools({"headers": {"X-Key": "••••3f9a"}}), form)
    assert problems == {
        f"{HEADER}.X-Key": "'X-Key' has no stored value behind this mask, which belongs to another name; send the value"
    }


def test_masks_of_headers_follow_their_tool_when_tools_are_reordered() -> None:
    tools = ({"name": "a", "headers": {"X-Key": "of-a"}}, {"name": "b", "headers": {"X-Key": "of-b"}})
    form = stored(with_tools(*tools))
    shown = masked(form)
    shown["tools_settings"]["custom_tools"].reverse()
    after = stored(shown, form)["tools_settings"]["custom_tools"]
    before = form["tools_settings"]["custom_tools"]
    assert [tool["headers"] for tool in after] == [tool["headers"] for tool in reversed(before)]


def test_a_header_may_be_empty_and_one_that_cannot_be_sent_is_refused_without_repeating_it() -> None:
    assert headers_of(stored(with_tools({"headers": {"X-Empty": ""}}))) == {"X-Empty": ""}
    ((path, words),) = refused(with_tools({"headers": {"X-Key": "canary\r\nx: y"}})).items()
    assert path == f"{HEADER}.X-Key"
    assert "canary" not in words


def test_a_header_that_an_older_version_stored_in_clear_is_masked_kept_and_sealed_at_the_next_write() -> None:
    form = stored(with_tools({"headers": {"X-Key": "a-long-canary-3f9a", "X-Short": "canary"}}))
    form["tools_settings"]["custom_tools"][0]["headers"] = {"X-Key": "a-long-canary-3f9a", "X-Short": "canary"}
    assert masked(form)["tools_settings"]["custom_tools"][0]["headers"] == {"X-Key": "••••3f9a", "X-Short": "••••"}
    after = stored(patched(form, {}), form)
    assert "canary" not in str(after)
    assert headers_of(after) == {"X-Key": "a-long-canary-3f9a", "X-Short": "canary"}


@pytest.mark.parametrize("secret", ["sk-0123\n456", "sk-0123456\r\n", "sk\x00", "\ufeffsk-0123456"])
def test_a_secret_that_no_header_can_carry_is_refused_without_repeating_it(secret: str) -> None:
    ((path, words),) = refused({**MINIMAL, "llm_provider_config": {"api_key": secret}}).items()
    assert path == "llm_provider_config.api_key"
    assert "sk" not in words


def test_an_empty_secret_is_refused() -> None:
    assert list(refused({**MINIMAL, "llm_provider_config": {"api_key": ""}})) == ["llm_provider_config.api_key"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"webhook_url": "https://169.254.169.254/latest"}, "webhook_url"),
        ({"sms_webhook_url": "http://example.com/"}, "sms_webhook_url"),
        ({"llm_provider_config": {"api_key": "k", "base_url": "https://10.0.0.1/v1"}}, "llm_provider_config.base_url"),
        (
            {"tools_settings": {"custom_tools": [{"name": "t", "description": "d", "url": "https://[::1]/"}]}},
            "tools_settings.custom_tools.0.url",
        ),
    ],
)
def test_an_url_that_the_guard_forbids_is_refused(change: dict[str, Any], path: str) -> None:
    assert path in refused({**MINIMAL, **change})


def test_every_problem_is_named_at_once() -> None:
    problems = refused({**MINIMAL, "webhook_url": "http://10.0.0.1/", "stt_settings": {"api_key": "••••"}})
    assert sorted(problems) == ["stt_settings.api_key", "webhook_url"]


def test_null_and_dollar_keys_inside_a_json_schema_survive() -> None:
    schema = {"$defs": {"a.b": {"enum": ["x", None], "default": None}}, "$ref": "#/$defs/a.b"}
    form = stored({**MINIMAL, "custom_settings": {"structured_data_schema": schema}})
    assert form["custom_settings"]["structured_data_schema"] == schema


def test_a_patch_of_one_field_leaves_its_neighbours() -> None:
    form = stored({**MINIMAL, "llm_settings": {"temperature": 0.1, "max_tokens": 50}})
    after = stored(patched(form, {"llm_settings": {"temperature": None}}), form)
    assert after["llm_settings"]["temperature"] == 0.7
    assert after["llm_settings"]["max_tokens"] == 50


@pytest.mark.parametrize("same", ["anna", "\uff21\uff2e\uff2e\uff21", "  Anna "])
def test_names_that_look_the_same_are_the_same(same: str) -> None:
    assert name_key(same) == name_key("Anna")


def test_a_misspelt_webhook_secret_is_told_the_right_name() -> None:
    """It is no field of the stored document, but one of the request."""
    with pytest.raises(CommandError) as caught:
        stored({**MINIMAL, "webhook_secrets": "whsec_x"})
    (problem,) = caught.value.problem.fields
    assert "webhook_secret" in (problem.hint or "")


@pytest.mark.promise("P8")
def test_what_leaves_for_a_call_is_sealed_also_what_an_older_version_stored_in_clear() -> None:
    form = stored(with_tools({"headers": {"X-Key": "canary"}, "auth_token": "a-token"}))
    form["tools_settings"]["custom_tools"][0]["headers"] = {"X-Key": "canary"}
    leaving = fully_sealed(form, OWNER, RULES)
    assert "canary" not in str(leaving)
    assert headers_of(leaving) == {"X-Key": "canary"}
    assert form["tools_settings"]["custom_tools"][0]["headers"] == {"X-Key": "canary"}, "what is stored stays as it is"
    assert fully_sealed(leaving, OWNER, RULES) is leaving


def test_a_secret_that_comes_unsealed_is_refused_without_repeating_it() -> None:
    with pytest.raises(CommandError) as caught:
        stored_form({**MINIMAL}, OWNER, RULES)
    (problem,) = caught.value.problem.fields
    assert problem.path == "llm_provider_config.api_key"
    assert "sk-" not in str(caught.value.problem)
