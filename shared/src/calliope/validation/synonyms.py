"""What other systems call our fields: Vapi, Retell, LiveKit and earlier APIs of this kind. Data only.

Keys are compared without case, `_` and `-`; a dot separates an object from its field (`voice.voiceId`), and the longest
key that a path ends with decides. A note says what differs besides the name.
"""

from typing import Final, NamedTuple

from pydantic import BaseModel

from calliope.contracts.assistants import PhoneNumberSpec
from calliope.contracts.document.spec import AssistantSpec


class Ours(NamedTuple):
    """Our field, and what differs besides its name."""

    path: str
    note: str = ""


_MODEL: Final = Ours("llm_provider_config.model")
_MODEL_KEY: Final = Ours("llm_provider_config.api_key")
_BASE_URL: Final = Ours("llm_provider_config.base_url")
_PROMPT: Final = Ours("llm_settings.system_prompt")
_WELCOME: Final = Ours("llm_settings.welcome_message")
_TEMPERATURE: Final = Ours("llm_settings.temperature")
_MAX_TOKENS: Final = Ours("llm_settings.max_tokens")
_TTS_PROVIDER: Final = Ours("tts_settings.provider")
_VOICE: Final = Ours("tts_settings.voice_id")
_VOICE_MODEL: Final = Ours("tts_settings.model_id")
_VOICE_KEY: Final = Ours("tts_settings.api_key")
_STT_MODEL: Final = Ours("stt_settings.model")
_LANGUAGE: Final = Ours("stt_settings.language")
_KEYTERMS: Final = Ours("stt_settings.keyterms")
_ENDPOINTING: Final = Ours("stt_settings.endpointing", "in milliseconds")
_IDLE: Final = Ours("idle_timeout", "in seconds")
_MAX_CALL: Final = Ours("max_call_duration", "in seconds")
_WEBHOOK: Final = Ours("webhook_url")
_INTERRUPT_WORDS: Final = Ours("interruption_settings.interruption_threshold", "a number of words")
_GOODBYE: Final = Ours("tools_settings.end_call.custom_message")
_VARIABLES: Final = Ours("variables")
_END_SCENARIOS: Final = Ours("tools_settings.end_call.scenarios")
_TRANSFER: Final = Ours("tools_settings.transfer_call.transfer_numbers")
_TOOLS: Final = Ours("tools_settings.custom_tools")
_DATA_SCHEMA: Final = Ours("custom_settings.structured_data_schema")
_DATA_PROMPT: Final = Ours("custom_settings.structured_data_prompt")

SYNONYMS: Final[dict[type[BaseModel], dict[str, Ours]]] = {
    AssistantSpec: {
        # the conversation
        "first_message": _WELCOME, "begin_message": _WELCOME, "greeting": _WELCOME, "welcome": _WELCOME,
        "greeting_message": _WELCOME, "initial_message": _WELCOME, "opening_message": _WELCOME,
        "general_prompt": _PROMPT, "prompt": _PROMPT, "instructions": _PROMPT, "system_message": _PROMPT,
        "system_instruction": _PROMPT, "model.messages": _PROMPT, "model.system_prompt": _PROMPT,
        "agent_name": Ours("name"), "assistant_name": Ours("name"), "title": Ours("name"),
        "active": Ours("is_active"), "enabled_for_calls": Ours("is_active"),
        "timezone": Ours("time_zone"), "tz": Ours("time_zone"), "variable_values": _VARIABLES,
        "dynamic_variables": _VARIABLES, "default_dynamic_variables": _VARIABLES,
        "retell_llm_dynamic_variables": _VARIABLES,
        # the language model
        "model": _MODEL, "model.model": _MODEL, "model_name": _MODEL, "llm_model": _MODEL, "llm.model": _MODEL,
        "provider": Ours("llm_provider"), "model.provider": Ours("llm_provider"), "llm.provider": Ours("llm_provider"),
        "model_provider": Ours("llm_provider"), "llm": Ours("llm_provider_config"),
        "openai_api_key": _MODEL_KEY, "anthropic_api_key": _MODEL_KEY, "gemini_api_key": _MODEL_KEY,
        "groq_api_key": _MODEL_KEY, "xai_api_key": _MODEL_KEY, "llm_api_key": _MODEL_KEY, "model.api_key": _MODEL_KEY,
        "custom_llm_url": _BASE_URL, "llm_websocket_url": _BASE_URL, "model.url": _BASE_URL, "llm.base_url": _BASE_URL,
        "model_temperature": _TEMPERATURE, "model.temperature": _TEMPERATURE, "llm.temperature": _TEMPERATURE,
        "model.max_tokens": _MAX_TOKENS, "max_output_tokens": _MAX_TOKENS, "max_completion_tokens": _MAX_TOKENS,
        "stop": Ours("llm_settings.stop_sequences"), "fallback_models": Ours("llm_fallback_providers.fallbacks"),
        "model.fallback_models": Ours("llm_fallback_providers.fallbacks"),
        # the voice
        "voice": _VOICE, "voice.voice_id": _VOICE, "voice_name": _VOICE, "tts.voice": _VOICE, "custom_voice_id": _VOICE,
        "voice.provider": _TTS_PROVIDER, "tts_provider": _TTS_PROVIDER, "voice_provider": _TTS_PROVIDER,
        "tts.provider": _TTS_PROVIDER, "tts": Ours("tts_settings"),
        "voice_model": _VOICE_MODEL, "voice.model": _VOICE_MODEL, "tts.model": _VOICE_MODEL,
        "voice.stability": Ours("tts_settings.stability"), "voice.style": Ours("tts_settings.style"),
        "voice.similarity_boost": Ours("tts_settings.similarity_boost"),
        "voice.use_speaker_boost": Ours("tts_settings.use_speaker_boost"),
        "voice.fallback_plan": Ours("tts_settings.fallbacks"), "fallback_voice_ids": Ours("tts_settings.fallbacks"),
        "elevenlabs_api_key": _VOICE_KEY, "inworld_bearer_token": _VOICE_KEY, "resemble_api_key": _VOICE_KEY,
        "tts_api_key": _VOICE_KEY, "resemble_project_uuid": Ours("tts_settings.provider_config.project_uuid"),
        # hearing
        "transcriber": Ours("stt_settings"), "stt": Ours("stt_settings"), "transcriber.model": _STT_MODEL,
        "stt.model": _STT_MODEL, "stt_model": _STT_MODEL, "transcriber.language": _LANGUAGE, "language": _LANGUAGE,
        "language_code": _LANGUAGE, "stt.language": _LANGUAGE, "transcriber.keywords": Ours("stt_settings.keywords"),
        "transcriber.keyterm": _KEYTERMS, "keyterm": _KEYTERMS, "boosted_keywords": _KEYTERMS,
        "deepgram_api_key": Ours("stt_settings.api_key"), "stt_api_key": Ours("stt_settings.api_key"),
        "transcriber.endpointing": _ENDPOINTING, "min_endpointing_delay": _ENDPOINTING,
        "start_speaking_plan.wait_seconds": _ENDPOINTING, "silence_threshold": _ENDPOINTING,
        "min_silence_duration": Ours("stt_settings.utterance_end_ms", "in milliseconds"),
        # interruptions, silence, length
        "stop_speaking_plan.num_words": _INTERRUPT_WORDS, "min_interruption_words": _INTERRUPT_WORDS,
        "interruption_sensitivity": _INTERRUPT_WORDS, "num_words_to_interrupt_assistant": _INTERRUPT_WORDS,
        "stop_speaking_plan.voice_seconds": Ours("interruption_settings.min_speaking_time", "in seconds"),
        "stop_speaking_plan.backoff_seconds": Ours("interruption_settings.interruption_cooldown", "in seconds"),
        "silence_timeout_seconds": _IDLE, "silence_timeout": _IDLE, "user_away_timeout": _IDLE,
        "end_call_after_silence_ms": _IDLE, "reminder_trigger_ms": _IDLE,
        "message_plan.idle_timeout_seconds": _IDLE, "message_plan.idle_messages": Ours("idle_message", "one text"),
        "idle_messages": Ours("idle_message", "one text"), "reminder_max_count": Ours("max_idle_messages"),
        "message_plan.idle_message_max_spoken_count": Ours("max_idle_messages"),
        "max_duration_seconds": _MAX_CALL, "max_call_duration_ms": _MAX_CALL, "max_duration": _MAX_CALL,
        "max_call_duration_s": _MAX_CALL,
        # tools
        "end_call_phrases": _END_SCENARIOS, "end_call_message": _GOODBYE, "goodbye_message": _GOODBYE,
        "end_call_function_enabled": Ours("tools_settings.end_call.enabled"),
        "forwarding_phone_number": _TRANSFER, "transfer_number": _TRANSFER, "transfer_phone_number": _TRANSFER,
        "transfer_call_message": Ours("tools_settings.transfer_call.custom_message"),
        "tools": _TOOLS, "model.tools": _TOOLS, "general_tools": _TOOLS, "functions": _TOOLS, "model.functions": _TOOLS,
        "function.name": Ours("tools_settings.custom_tools[].name"),
        "function.description": Ours("tools_settings.custom_tools[].description"),
        "function.parameters": Ours("tools_settings.custom_tools[].parameters"),
        "custom_tools.definition": Ours("tools_settings.custom_tools[].parameters"),
        "custom_tools.endpoint": Ours("tools_settings.custom_tools[].url"),
        "custom_tools.timeout_seconds": Ours("tools_settings.custom_tools[].timeout_s"),
        "custom_tools.timeout_ms": Ours("tools_settings.custom_tools[].timeout_s", "in seconds"),
        "custom_tools.timeout": Ours("tools_settings.custom_tools[].timeout_s", "in seconds"),
        # after the call, and where events go
        "server_url": _WEBHOOK, "server.url": _WEBHOOK, "server": _WEBHOOK, "webhook": _WEBHOOK,
        "callback_url": _WEBHOOK,
        "status_callback_url": _WEBHOOK, "sms_webhook": Ours("sms_webhook_url"), "sms_url": Ours("sms_webhook_url"),
        "analysis_plan.structured_data_schema": _DATA_SCHEMA, "structured_data_plan.schema": _DATA_SCHEMA,
        "analysis_plan.structured_data_prompt": _DATA_PROMPT, "structured_data_plan.messages": _DATA_PROMPT,
        "post_call_analysis_data": _DATA_SCHEMA, "extraction_schema": _DATA_SCHEMA,
        # carriers
        "twilio_account_sid": Ours("twilio_config.account_sid"), "twilio_auth_token": Ours("twilio_config.auth_token"),
        "telnyx_api_key": Ours("telnyx_config.api_key"), "telnyx_connection_id": Ours("telnyx_config.connection_id"),
        "telnyx_public_key": Ours("telnyx_config.public_key"),
    },
    PhoneNumberSpec: {
        "assistant": Ours("assistant_id"), "agent_id": Ours("assistant_id"), "inbound_agent_id": Ours("assistant_id"),
        "provider": Ours("carrier"), "telephony_provider": Ours("carrier"),
    },
}  # fmt: skip
"""Other names, by the contract in which they are looked for."""

_SERVER: Final = "the server sets it; leave it out of what you send"
_DEEPGRAM: Final = "the recogniser is Deepgram; leave it out"
_ON: Final = "it is always on; leave it out"
_NUMBER: Final = "numbers are assigned with PUT /api/v1/phone-numbers/{number}"

ELSEWHERE: Final[dict[type[BaseModel], dict[str, str]]] = {
    AssistantSpec: {
        "id": _SERVER, "organization_id": _SERVER, "revision": _SERVER, "created_at": _SERVER, "updated_at": _SERVER,
        "phone_number": _NUMBER, "phone_numbers": _NUMBER, "phone_number_id": _NUMBER,
        "stt_settings.interim_results": _ON, "stt_settings.vad_events": _ON,
        "transcriber.provider": _DEEPGRAM, "stt_settings.provider": _DEEPGRAM, "stt.provider": _DEEPGRAM,
        "stt_provider": _DEEPGRAM, "transcriber_provider": _DEEPGRAM, "asr.provider": _DEEPGRAM,
    },
    PhoneNumberSpec: {
        "number": "it stands in the path: PUT /api/v1/phone-numbers/{number}",
        "phone_number": "it stands in the path: PUT /api/v1/phone-numbers/{number}",
    },
}  # fmt: skip
"""Whole paths of names that no field of ours has, and what to do instead."""

_VENDORS: Final = {
    "google": "gemini", "google_ai": "gemini", "vertex": "gemini", "vertex_ai": "gemini", "claude": "anthropic",
    "gpt": "openai", "chatgpt": "openai", "grok": "xai", "x_ai": "xai",
    "11labs": "elevenlabs", "eleven_labs": "elevenlabs", "eleven": "elevenlabs", "xi": "elevenlabs",
    "aura": "deepgram", "resemble_ai": "resemble", "chatterbox": "resemble", "inworld_ai": "inworld",
}  # fmt: skip
_OWN_SERVER: Final = Ours("custom", "with base_url, the address of your server")
VALUES: Final[dict[str, Ours]] = {
    **{name: Ours(ours) for name, ours in _VENDORS.items()},
    "ollama": _OWN_SERVER, "vllm": _OWN_SERVER, "openai_compatible": _OWN_SERVER, "custom_llm": _OWN_SERVER,
    "lm_studio": _OWN_SERVER, "llama_cpp": _OWN_SERVER, "litellm": _OWN_SERVER, "openrouter": _OWN_SERVER,
    "together": _OWN_SERVER, "together_ai": _OWN_SERVER, "mistral": _OWN_SERVER, "azure": _OWN_SERVER,
    "azure_openai": _OWN_SERVER, "fireworks": _OWN_SERVER, "deepseek": _OWN_SERVER, "self_hosted": _OWN_SERVER,
}  # fmt: skip
"""What other systems call the values that our enumerations take; each applies where that value is one."""

QUERY: Final[dict[str, str]] = {
    "page_size": "limit", "per_page": "limit", "count": "limit", "max_results": "limit", "size": "limit",
    "page": "cursor", "offset": "cursor", "starting_after": "cursor", "page_token": "cursor", "next_cursor": "cursor",
    "pagination_key": "cursor", "assistant": "assistant_id", "agent_id": "assistant_id", "call_status": "status",
    "event_id": "subject", "call_id": "subject", "since_sequence": "after", "from_sequence": "after",
}  # fmt: skip
"""What other systems call our query parameters; each applies where that parameter exists."""
