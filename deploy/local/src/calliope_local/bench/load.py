"""The callers of the bench: what each says, and how many ring when. Every utterance of a call has words of its own."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

TURN_S: Final = 6.5
"""About how long one turn takes: two seconds of caller, half a second of waiting, the answer."""
INTERRUPTING: Final = 3
"""Every third turn the caller cuts the assistant short."""
WITHIN_S: Final = 30.0
ANSWER: Final = "Sure, let me see. You said {user_text}, and I noted it. Is there anything else I can do for you today?"
GREETING: Final = "Hello, how can I help you today?"


@dataclass(frozen=True, slots=True)
class Waits:
    """What the providers take; ms."""

    name: str
    final_ms: float
    first_token_ms: float
    per_token_ms: float
    first_byte_ms: float

    def knobs(self) -> Json:
        """For the sandbox: no jitter, so that what varies is ours."""
        return {
            "deepgram": {"final_ms": self.final_ms},
            "openai": {"first_token_ms": self.first_token_ms, "per_token_ms": self.per_token_ms},
            "elevenlabs": {"first_byte_ms": self.first_byte_ms},
        }


FIXED: Final = Waits("fixed", final_ms=50, first_token_ms=100, per_token_ms=0, first_byte_ms=80)
REAL: Final = Waits("closer to real", final_ms=50, first_token_ms=300, per_token_ms=15, first_byte_ms=100)


def document(name: str) -> Json:
    """The assistant of the bench."""
    return {
        "name": name,
        "llm_provider_config": {"api_key": "sandbox-openai", "model": "gpt-4o-mini"},
        "llm_settings": {"system_prompt": "You are measured.", "welcome_message": GREETING},
        "interruption_settings": {"interruption_threshold": 3, "min_speaking_time": 0.3, "interruption_cooldown": 0.5},
    }


def answers() -> Json:
    """The model's script."""
    return {"name": "bench", "rules": [{"say": ANSWER}]}


def script(call: int, seconds: float) -> list[Json]:
    """A caller who talks for about so long. The second word of every utterance is the call's own."""
    tag = f"k{call:04d}"
    steps: list[Json] = [{"wait_for_silence_ms": 400, "within_s": WITHIN_S}]
    turns = max(2, round(seconds / TURN_S))
    for turn in range(turns):
        said = f"question {tag} {turn} about the hours"
        if turn % INTERRUPTING == INTERRUPTING - 1:
            steps.append(
                {"interrupt": {"after_ms": 900, "say": said.replace("question", "sorry")}, "within_s": WITHIN_S}
            )
        else:
            steps.append({"say": said, "within_s": WITHIN_S})
        following_interrupts = (turn + 1) % INTERRUPTING == INTERRUPTING - 1 and turn + 1 < turns
        if not following_interrupts:
            steps.append({"wait_for_silence_ms": 700, "within_s": WITHIN_S})
    return [*steps, {"hang_up": True}]


def arrivals(count: int, over_s: float, seed: int) -> Iterator[float]:
    """When each call begins, in seconds: evenly over the time, each a little early or late."""
    chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
    for call in range(count):
        yield over_s * (call + chance.random()) / count
