"""Which tests prove that a field of the assistant document acts. Ids are `path::test`, without parameters."""

from typing import Final

_CALL: Final = "tests/e2e/test_fields.py::test_a_field_acts_on_a_call"
_END_CALL: Final = "tests/e2e/test_fields.py::test_end_call_is_offered_when_it_fits_and_says_its_own_goodbye"
_TRANSFER: Final = "tests/e2e/test_fields.py::test_transfer_call_hands_over_to_a_listed_number_with_its_own_words"
_FALLBACK: Final = "tests/e2e/test_fields.py::test_a_fallback_model_answers_with_its_own_key_when_the_primary_refuses"
_CUSTOM: Final = "tests/e2e/test_fields.py::test_a_custom_model_is_asked_at_its_own_address"
_CALL_SHAPED: Final = "tests/contract/providers/test_llm.py::test_a_document_decides_how_its_custom_servers_are_asked"
_WISHES: Final = "tests/unit/calliope_call_worker/test_wishes.py"
_VOICE: Final = f"{_WISHES}::test_a_voice_speaks_as_the_document_wishes"
_WORDS: Final = f"{_WISHES}::test_words_to_listen_for_are_told_to_older_models_with_their_weight"
_HEARD: Final = "tests/contract/providers/test_stt.py::test_a_document_is_asked_for_as_it_is_and_taken"
_REPLAYED: Final = "tests/e2e/test_hearing.py::test_a_call_is_heard_answered_recorded_and_decided_the_same_again"
_TURNS: Final = f"{_WISHES}::test_turn_taking_follows_the_document"
_PHRASES: Final = "tests/unit/calliope_call_worker/test_spoken_phrases.py"
_OWN_PHRASES: Final = f"{_PHRASES}::test_a_document_brings_its_own_phrases_and_an_empty_list_means_none"
_MISSED: Final = "tests/unit/calliope_call_worker/test_words_missed.py"
_BARGE_IN: Final = "tests/unit/calliope_call_worker/test_barge_in.py"
_ASKED: Final = "tests/e2e/test_vendor_failover.py::test_voices_are_asked_as_the_document_says_each_with_its_own_key"
_STOOD_IN: Final = (
    "tests/e2e/test_vendor_failover.py::test_another_vendors_model_goes_on_and_the_caller_hears_nothing_twice"
)
_TELNYX: Final = "tests/e2e/test_telnyx.py::test_a_call_is_answered_heard_and_recorded_with_the_documents_own_account"
_FORGED: Final = "tests/e2e/test_telnyx.py::test_a_hook_that_is_not_of_the_numbers_own_account_is_forbidden"
_REFUSED: Final = "tests/unit/calliope/test_documents.py::test_a_wrong_combination_is_refused_and_names_the_field"

_LINES: Final = "tests/unit/calliope_call_worker/test_fixed_lines.py"
_APOLOGY: Final = f"{_LINES}::test_a_model_that_fails_is_apologised_for_in_the_assistants_language"
_SILENCE: Final = f"{_LINES}::test_silence_is_asked_about_and_ended_in_the_assistants_language"
_OWN_LINE: Final = f"{_LINES}::test_a_document_may_have_each_line_in_its_own_words"
_CARRIERS_VOICE: Final = "tests/unit/calliope_call_worker/test_orders.py"

PROOFS: Final[dict[str, tuple[str, ...]]] = {
    "name": ("tests/integration/assistants/test_documents.py::test_a_name_is_unique_whatever_its_case_and_width",),
    "description": (_CALL,),
    "is_active": ("tests/integration/assistants/test_numbers.py::test_an_inactive_assistant_answers_no_number",),
    "time_zone": (f"{_LINES}::test_every_request_tells_when_where_and_who",),
    "variables": (f"{_LINES}::test_welcome_and_the_lines_of_tools_are_filled_in", _APOLOGY),
    "llm_provider": (_CALL,),
    "llm_provider_config.api_key": (_CALL,),
    "llm_provider_config.model": (_CALL,),
    "llm_provider_config.base_url": (_CUSTOM,),
    "llm_provider_config.request_format": (_CALL_SHAPED,),
    "llm_fallback_providers.fallbacks[].base_url": (_CALL_SHAPED, _STOOD_IN),
    "llm_fallback_providers.fallbacks[].request_format": (_CALL_SHAPED,),
    "llm_settings.temperature": (_CALL,),
    "llm_settings.max_tokens": (_CALL,),
    "llm_settings.top_p": (_CALL,),
    "llm_settings.frequency_penalty": (_CALL,),
    "llm_settings.presence_penalty": (_CALL,),
    "llm_settings.stop_sequences": (_CALL,),
    "llm_settings.system_prompt": (_CALL,),
    "llm_settings.welcome_message": (_CALL,),
    "llm_fallback_providers.enabled": (_FALLBACK,),
    "llm_fallback_providers.fallbacks[].provider": (_FALLBACK,),
    "llm_fallback_providers.fallbacks[].model": (_FALLBACK,),
    "llm_fallback_providers.fallbacks[].api_key": (_FALLBACK,),
    "tts_settings.provider": (_CALL,),
    "tts_settings.voice_id": (_CALL,),
    "tts_settings.model_id": (_CALL,),
    "tts_settings.stability": (_VOICE,),
    "tts_settings.similarity_boost": (_VOICE,),
    "tts_settings.style": (_VOICE,),
    "tts_settings.use_speaker_boost": (_VOICE,),
    "tts_settings.api_key": (f"{_WISHES}::test_a_voice_is_paid_with_the_documents_own_key_before_the_installations",),
    "tts_settings.provider_config.project_uuid": (_ASKED,),
    "tts_settings.provider_config.language": (_ASKED,),
    "tts_settings.fallbacks[].provider": (_ASKED,),
    "tts_settings.fallbacks[].voice_id": (_ASKED,),
    "tts_settings.fallbacks[].model_id": (_ASKED,),
    "tts_settings.fallbacks[].stability": (_ASKED,),
    "tts_settings.fallbacks[].similarity_boost": (_ASKED,),
    "tts_settings.fallbacks[].style": (_ASKED,),
    "tts_settings.fallbacks[].use_speaker_boost": (_ASKED,),
    "tts_settings.fallbacks[].provider_config.project_uuid": (_ASKED,),
    "tts_settings.fallbacks[].provider_config.language": (_ASKED,),
    "tts_settings.fallbacks[].api_key": (_ASKED,),
    "stt_settings.model": (_CALL,),
    "stt_settings.language": (_CALL,),
    "stt_settings.keywords[].keyword": (_WORDS,),
    "stt_settings.keywords[].intensifier": (_WORDS,),
    "stt_settings.keyterms": (_CALL,),
    "stt_settings.punctuate": (_CALL,),
    "stt_settings.smart_format": (_CALL,),
    "stt_settings.numerals": (_HEARD,),
    "stt_settings.profanity_filter": (_HEARD,),
    "stt_settings.filler_words": (_HEARD,),
    "stt_settings.redact": (_HEARD,),
    "stt_settings.endpointing": (_CALL,),
    "stt_settings.utterance_end_ms": (_CALL,),
    "stt_settings.eot_threshold": (_HEARD,),
    "stt_settings.eager_eot_threshold": (_HEARD,),
    "stt_settings.eot_timeout_ms": (_HEARD,),
    "stt_settings.mip_opt_out": (_HEARD,),
    "stt_settings.api_key": (
        f"{_WISHES}::test_a_recogniser_is_paid_with_the_documents_own_key_before_the_installations",
    ),
    "interruption_settings.interruption_threshold": (
        _TURNS,
        f"{_BARGE_IN}::test_a_threshold_of_zero_or_one_needs_one_word",
    ),
    "interruption_settings.interrupt_phrases": (_TURNS, _OWN_PHRASES),
    "interruption_settings.ignore_phrases": (_TURNS, _OWN_PHRASES),
    "interruption_settings.resume_after_false_interruption": (
        _TURNS,
        "tests/unit/calliope_call_worker/test_false_interruption.py::test_words_that_are_taken_back_were_no_interruption",
    ),
    "interruption_settings.min_speaking_time": (
        _TURNS,
        f"{_BARGE_IN}::test_words_interrupt_as_soon_as_the_assistant_was_audible_long_enough",
    ),
    "interruption_settings.interruption_cooldown": (
        _TURNS,
        f"{_BARGE_IN}::test_the_cooldown_only_puts_the_next_interruption_off",
    ),
    "idle_message": (_CALL,),
    "messages.apology": (_APOLOGY,),
    "messages.ask_to_repeat": (
        _OWN_LINE,
        f"{_MISSED}::test_it_is_asked_in_the_assistants_language_and_is_part_of_the_talk",
    ),
    "messages.please_wait": (
        "tests/unit/calliope_call_worker/test_late_models.py::test_who_waits_for_the_only_model_is_told_and_gets_the_answer",
    ),
    "messages.final_apology": (_APOLOGY,),
    "messages.goodbye": (f"{_LINES}::test_the_goodbye_is_in_the_assistants_language",),
    "messages.idle_goodbye": (_SILENCE,),
    "messages.time_limit_goodbye": (_OWN_LINE, f"{_LINES}::test_the_longest_call_ends_in_the_assistants_own_words"),
    "messages.last_resort": (f"{_CARRIERS_VOICE}::test_the_last_resort_is_said_in_the_assistants_language",),
    "messages.transfer_failed": (
        f"{_CARRIERS_VOICE}::test_a_transfer_that_nobody_took_is_told_in_the_assistants_language",
    ),
    "max_idle_messages": (_CALL,),
    "idle_timeout": (_CALL,),
    "max_call_duration": (
        _TURNS,
        "tests/unit/calliope_call_worker/test_call_end.py::test_the_longest_call_ends_with_a_goodbye_that_is_heard",
    ),
    "tools_settings.end_call.enabled": (_END_CALL,),
    "tools_settings.end_call.scenarios": (_END_CALL,),
    "tools_settings.end_call.custom_message": (_END_CALL,),
    "tools_settings.transfer_call.enabled": (_TRANSFER,),
    "tools_settings.transfer_call.scenarios": (_TRANSFER,),
    "tools_settings.transfer_call.transfer_numbers": (_TRANSFER,),
    "tools_settings.transfer_call.custom_message": (_TRANSFER,),
    "tools_settings.custom_tools[].name": (_CALL,),
    "tools_settings.custom_tools[].description": (_CALL,),
    "tools_settings.custom_tools[].parameters": (_CALL,),
    "tools_settings.custom_tools[].url": (_CALL,),
    "tools_settings.custom_tools[].method": (f"{_WISHES}::test_a_tool_is_called_with_its_method",),
    "tools_settings.custom_tools[].headers": (_CALL,),
    "tools_settings.custom_tools[].auth_token": (_CALL,),
    "tools_settings.custom_tools[].timeout_s": (f"{_WISHES}::test_a_tool_is_waited_for_as_long_as_it_says",),
    "tools_settings.custom_tools[].speak_while_running": (_CALL,),
    "custom_settings.structured_data_prompt": (
        "tests/unit/calliope_call_worker/analysis/test_questions.py"
        "::test_the_prompt_of_the_assistant_comes_first_with_its_placeholders_filled",
    ),
    "custom_settings.structured_data_schema": (
        "tests/e2e/test_after_the_call.py::test_a_call_ends_with_a_summary_and_data_in_its_record_and_at_its_webhook",
    ),
    "twilio_config.account_sid": (f"{_WISHES}::test_a_carrier_is_spoken_to_with_the_documents_own_account",),
    "twilio_config.auth_token": (f"{_WISHES}::test_a_carrier_is_spoken_to_with_the_documents_own_account",),
    "telnyx_config.api_key": (f"{_WISHES}::test_a_carrier_is_spoken_to_with_the_documents_own_account", _TELNYX),
    "telnyx_config.connection_id": (_FORGED,),
    "telnyx_config.public_key": (_FORGED,),
    "webhook_url": (
        "tests/e2e/test_whole_call.py::test_events_are_complete_in_order_and_delivered_to_a_receiver_who_verifies_them",
    ),
    "sms_webhook_url": ("tests/integration/webhooks/test_deliveries.py::test_messages_go_to_the_sms_hook_only",),
    "rag_settings.enabled": (_REFUSED,),
    "journal_inputs": (_REPLAYED,),
}

NOT_YET: Final = {
    # Accepted and kept, without any effect.
    "messaging_service_sid",
}
"""Fields that no test proves. A field leaves this list with its test, never enters it without a reason."""
