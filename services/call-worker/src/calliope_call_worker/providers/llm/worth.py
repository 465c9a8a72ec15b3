"""What an answer is worth: whether anything of it can be said or used, and what another model is to continue. Pure."""

from collections.abc import Iterable

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.pipeline.speakable import Speakable
from calliope_call_worker.pipeline.thoughts import without_thoughts
from calliope_call_worker.providers.llm.base import AssistantMessage, LlmRequest, Message, UserMessage


class Worth:
    """Feed the text of an answer as it comes. Of a `spoken` request only that counts which a voice can say."""

    def __init__(self, request: LlmRequest) -> None:
        self._speakable = Speakable(tool.name for tool in request.tools) if request.spoken else None
        self._text = ""
        self._said = ""

    def feed(self, text: str) -> None:
        """More of the answer."""
        self._text += text
        if self._speakable is not None:
            self._said += self._speakable.feed(text)

    def settle(self) -> None:
        """The answer is over, or breaks off."""
        if self._speakable is not None:
            self._said += self._speakable.settle()

    @property
    def useful(self) -> bool:
        """Whether there is something in it for whoever asked."""
        if self._speakable is not None:
            return has_speech(self._said)
        said = without_thoughts(self._text).strip()
        return bool(said) and (">" in said or not said.startswith("<"))

    @property
    def empty(self) -> bool:
        """Whether nothing was written at all."""
        return not self._text.strip()

    @property
    def call_is_last(self) -> bool:
        """Whether it ends with a tool call that was written as text."""
        return self._speakable is not None and self._speakable.call_is_last

    @property
    def passed(self) -> str:
        """What of it another model is to continue; its last blank is kept."""
        passed = without_thoughts(self._text) if self._speakable is None else self._said
        return passed + " " if passed and self._text[-1:].isspace() and not passed[-1].isspace() else passed


def owed(messages: Iterable[Message]) -> bool:
    """Whether the caller has not been told anything since they spoke."""
    for message in reversed(tuple(messages)):
        if isinstance(message, UserMessage):
            return True
        if isinstance(message, AssistantMessage) and message.text.strip():
            return False
    return False
