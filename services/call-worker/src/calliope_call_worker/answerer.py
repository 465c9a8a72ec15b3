"""Makes replies: asks the model, speaks its sentences as they come, runs its tools, and has words for every failure."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import structlog

from calliope.contracts.calls import EndReason, TurnKind
from calliope.contracts.document.spec import AssistantSpec
from calliope.garbage import cancelled_without_cycles
from calliope_call_worker import phrases
from calliope_call_worker.conversation import Conversation
from calliope_call_worker.lines import LineCache, VoiceKey
from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.pipeline.sentences import Splitter
from calliope_call_worker.pipeline.speakable import Speakable, spoken
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.llm.base import (
    Asked,
    AssistantMessage,
    Finished,
    LlmRequest,
    Message,
    Progress,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
    estimated_input_tokens,
    estimated_tokens,
)
from calliope_call_worker.providers.llm.chain import LlmChain
from calliope_call_worker.providers.llm.in_time import OnLate
from calliope_call_worker.providers.tts.base import SpeechStream, SpokenAudio, TextSpan, VoiceSession
from calliope_call_worker.reply import Reply, Round
from calliope_call_worker.speaker import Speaker
from calliope_call_worker.tools.catalogue import offered
from calliope_call_worker.tools.http import ToolAnswer
from calliope_call_worker.tools.toolbox import CheckedCall, Toolbox, Wish

log = structlog.get_logger(__name__)

HEARD_S: Final = 30.0
MAX_FAILED_TURNS: Final = 2
MAX_CALLS: Final = 20  # as many as a document may define tools; a model that asks for more has lost its way
ONCE: Final = "not run: one call to end or to hand over is enough"


class ModelFailedError(Exception):
    """No model of the chain answered."""


class VoiceFailedError(Exception):
    """No voice of the chain speaks."""


class Voices(Protocol):
    """The voice of this call, with its fallbacks."""

    @property
    def key(self) -> VoiceKey:
        """For lines spoken in advance."""

    @property
    def used(self) -> tuple[str, str]:
        """Vendor and voice that speak now: those of the document, or one that it turned to."""

    async def session(self) -> VoiceSession:
        """The warm connection. Raises: ProviderError."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reply is made with."""

    spec: AssistantSpec
    chain: LlmChain
    voices: Voices
    lines: LineCache
    speaker: Speaker
    toolbox: Toolbox
    conversation: Conversation
    tell: Callable[[ev.Input], None]
    transfer: Callable[[str, str], Coroutine[Any, Any, ToolAnswer]]
    system_prompt: str
    tool_rounds: int


class Answerer:
    """The replies of one call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = asyncio.get_running_loop().time
        self._phrases = phrases.phrases_of(parts.spec)
        self._failed_turns = 0

    async def answer(self, reply: Reply, gate: asyncio.Event) -> None:
        """Answer the caller's turn. Until `gate` opens nothing is said and no tool runs."""
        await self._answered(reply, gate, self._rounds(reply, gate))

    async def go_on(self, reply: Reply, gate: asyncio.Event, rest: str, *, complete: bool) -> None:
        """Say the rest of an answer that another worker began; what that had not written yet, the model writes."""
        await self._answered(reply, gate, self._rest(reply, gate, rest, complete=complete))

    async def _rest(self, reply: Reply, gate: asyncio.Event, rest: str, *, complete: bool) -> None:
        await gate.wait()
        reply.rounds[-1].complete = complete
        await self._line(reply, rest)
        if not complete:
            await self._rounds(reply, gate)

    async def _answered(self, reply: Reply, gate: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
        failed: list[BaseException] = []
        try:
            with cancelled_without_cycles():
                await work
            reply.complete = True
            self._failed_turns = 0
        except* ModelFailedError as group:
            failed.append(group.exceptions[0])
        except* VoiceFailedError as group:
            failed.append(group.exceptions[0])
        if any(isinstance(error, VoiceFailedError) for error in failed):
            self._voice_failed(reply)
        elif failed:
            await gate.wait()
            await self._apologise(reply)
        else:
            await gate.wait()
            self._parts.speaker.finish(reply.id)

    async def say_line(self, reply: Reply) -> None:
        """Say `reply.text`, from the cache where it was spoken in advance."""
        reply.rounds[-1].complete = True
        self._parts.speaker.begin(reply.id)
        try:
            await self._line(reply, reply.text)
        except* VoiceFailedError:
            self._voice_failed(reply)
        else:
            self._parts.speaker.finish(reply.id)

    async def _rounds(self, reply: Reply, gate: asyncio.Event) -> None:
        for _ in range(self._parts.tool_rounds):
            if not await self._round(reply, gate):
                return
            reply.rounds.append(Round())
        raise ModelFailedError(f"{self._parts.tool_rounds} rounds of tools and no answer")

    async def _round(self, reply: Reply, gate: asyncio.Event) -> bool:
        """One answer of the model, spoken, and its tools; whether the model wants to go on."""
        part, toolbox = reply.rounds[-1], self._parts.toolbox
        failed: ModelFailedError | None = None
        async with self._speech() as stream, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._play(reply, stream, gate), name="reply.play")

            asking = True

            def late() -> None:
                to_wait = self._ask_to_wait(reply, stream, gate, lambda: asking)
                tasks.create_task(to_wait, name="reply.ask_to_wait")

            try:
                await self._model_round(reply, stream, gate, late)
            except ModelFailedError as exc:
                failed = exc  # what was said of the answer is spoken to its end
                part.calls.clear()
            asking = False
            checked = await toolbox.check(part.calls)
            await gate.wait()
            wishes = [wish for one in checked if (wish := toolbox.wish(one)) is not None]
            others = [one for one in checked if one not in [wish.checked for wish in wishes]]
            if wishes and wishes[0].ends and not others:
                part.complete, reply.ends = True, EndReason.ASSISTANT_ENDED
            await self._announce(reply, stream, gate, wishes, others)
            await self._finish(stream)
            if others:
                with self._effect(reply):
                    part.results.extend(await toolbox.run(reply.turn, others))
        if failed is not None:
            raise failed
        if wishes:
            return await self._grant(reply, wishes[0])
        return bool(others)

    async def _grant(self, reply: Reply, wish: Wish) -> bool:
        """End the call or hand it over; what was said is heard first. Whether the model has to go on."""
        parts, part = self._parts, reply.rounds[-1]
        if wish.ends:
            await parts.toolbox.grant(reply.turn, wish, partial(_done, "the call ends"))
            part.results.append(ToolResult(wish.call.id, wish.call.name, "the call ends"))
            custom = parts.spec.tools_settings.end_call.custom_message
            parts.tell(ev.EndRequested("assistant_ended", say=custom is not None or not reply.answered))
            return False
        with self._effect(reply):
            await parts.speaker.until_played(HEARD_S)
            answer = await parts.toolbox.grant(reply.turn, wish, partial(parts.transfer, wish.destination or ""))
        part.results.append(ToolResult(wish.call.id, wish.call.name, answer.text))
        told = {result.tool_call_id for result in part.results}
        part.results.extend(ToolResult(call.id, call.name, ONCE) for call in part.calls if call.id not in told)
        return not answer.ok

    @contextmanager
    def _effect(self, reply: Reply) -> Iterator[None]:
        self._parts.tell(ev.ToolsRunning(reply.id, running=True))
        try:
            yield
        finally:
            self._parts.tell(ev.ToolsRunning(reply.id, running=False))

    async def _ask_to_wait(
        self, reply: Reply, stream: SpeechStream, gate: asyncio.Event, asking: Callable[[], bool]
    ) -> None:
        """A word to the caller who waits for a late model, when it is the assistant's turn."""
        part, line = reply.rounds[-1], f"{spoken(self._phrases.please_wait).strip()} "
        await gate.wait()
        await asyncio.sleep(0)  # words of the model that waited for the gate, too, come first
        if asking() and not part.said and has_speech(line):
            part.waiting = len(line)
            reply.moments.stamp("asked_to_wait", self._now())
            await self._say(reply, stream, gate, line)

    async def _model_round(self, reply: Reply, stream: SpeechStream, gate: asyncio.Event, late: OnLate) -> None:
        part, splitter = reply.rounds[-1], Splitter()
        request, received, told = self._request(reply), 0, False
        speakable = Speakable(tool.name for tool in request.tools)
        reply.moments.stamp("llm_asked", self._now())
        try:
            async with self._parts.chain.stream(request, lambda: part.said, late) as events:
                async for event in events:
                    if not isinstance(event, Progress | Asked):
                        reply.moments.stamp("first_token", self._now())
                    match event:
                        case Asked():
                            reply.usage.llm_requests += 1
                            for piece in splitter.feed(speakable.settle()):
                                await self._say(reply, stream, gate, piece)
                        case TextDelta(text):
                            received += estimated_tokens(text)
                            for piece in splitter.feed(speakable.feed(text)):
                                await self._say(reply, stream, gate, piece)
                        case ToolCall() if len(part.calls) < MAX_CALLS:
                            part.calls.append(reply.with_own_id(event, self._parts.toolbox.begun))
                        case ToolCall():
                            log.warning("tool.not_run", tool=event.name[:60], reason=f"{MAX_CALLS} at once are enough")
                        case Finished():
                            told = True
                            reply.usage.add_tokens(event.input_tokens, event.output_tokens)
        except ProviderError as exc:
            told = not received  # what was refused costs nothing
            raise ModelFailedError(str(exc)) from exc
        finally:
            if not told:
                reply.usage.estimate_tokens(estimated_input_tokens(request), received)
            reply.usage.llm_provider, reply.usage.llm_model = self._parts.chain.used
        for piece in [*splitter.feed(speakable.finish()), *splitter.finish()]:
            await self._say(reply, stream, gate, piece)
        part.complete = not part.calls

    def _request(self, reply: Reply) -> LlmRequest:
        settings = self._parts.spec.llm_settings
        messages: list[Message] = [*self._parts.conversation.messages()]
        if reply.text:
            messages.append(UserMessage(reply.text))
        for part in reply.rounds[:-1]:
            messages.append(AssistantMessage(part.said.strip(), tuple(part.calls)))
            messages.extend(part.results)
        return LlmRequest(
            system=self._parts.system_prompt,
            messages=tuple(messages),
            tools=offered(self._parts.spec.tools_settings),
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            top_p=settings.top_p,
            frequency_penalty=settings.frequency_penalty,
            presence_penalty=settings.presence_penalty,
            stop=settings.stop_sequences,
            begun=reply.rounds[-1].said[reply.rounds[-1].waiting :],
        )

    async def _say(self, reply: Reply, stream: SpeechStream, gate: asyncio.Event, piece: str) -> None:
        if not has_speech(piece) and not has_speech(reply.rounds[-1].said):
            return  # a voice would give no sound for it
        if not gate.is_set():
            await gate.wait()
        text = piece if piece.endswith((" ", "\n")) else piece + " "
        reply.rounds[-1].said += text
        self._parts.speaker.said(reply.id, text)
        reply.usage.tts_characters += len(text)
        if not has_speech(text):
            return
        reply.moments.stamp("tts_asked", self._now())
        try:
            await stream.say(text)
        except ProviderError as exc:
            raise VoiceFailedError(str(exc)) from exc

    async def _announce(
        self, reply: Reply, stream: SpeechStream, gate: asyncio.Event, wishes: list[Wish], others: list[CheckedCall]
    ) -> None:
        """Words for the caller who would otherwise wait in silence, unless the model found its own."""
        if len(reply.rounds[-1].said) > reply.rounds[-1].waiting:
            return
        lines = [tool.speak_while_running for one in others if (tool := self._parts.toolbox.custom(one)) is not None]
        if wishes and not wishes[0].ends:
            lines.append(self._phrases.transfer)
        line = next((line for line in map(spoken, filter(None, lines)) if has_speech(line)), None)
        if line is not None:
            await self._say(reply, stream, gate, line)

    async def _finish(self, stream: SpeechStream) -> None:
        try:
            await stream.finish()
        except ProviderError as exc:
            raise VoiceFailedError(str(exc)) from exc

    async def _play(self, reply: Reply, stream: SpeechStream, gate: asyncio.Event) -> None:
        await gate.wait()
        offset_ms = self._parts.speaker.position_ms(reply.id)
        try:
            async for audio in stream.audio():
                reply.moments.stamp("first_tts_byte", self._now())
                reply.usage.tts_provider, reply.usage.tts_voice = self._parts.voices.used
                if not await self._parts.speaker.play(reply.id, _shifted(audio, offset_ms)):
                    return
        except ProviderError as exc:
            raise VoiceFailedError(str(exc)) from exc

    def _speech(self) -> "_Speech":
        return _Speech(self._parts.voices)

    async def _line(self, reply: Reply, text: str) -> None:
        """Say a whole line as part of a reply, if there is anything in it that can be said."""
        text = spoken(text)
        if not has_speech(text):
            return
        line = text if text.endswith(" ") else text + " "
        opened = asyncio.Event()
        opened.set()
        cached = self._parts.lines.get(self._parts.voices.key, text)
        if cached is None:
            async with self._speech() as stream, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._play(reply, stream, opened), name="reply.play")
                await self._say(reply, stream, opened, line)
                await self._finish(stream)
            return
        reply.rounds[-1].said += line
        self._parts.speaker.said(reply.id, line)
        reply.moments.stamp("tts_asked", self._now())
        offset_ms = self._parts.speaker.position_ms(reply.id)
        for audio in cached:
            reply.moments.stamp("first_tts_byte", self._now())
            if not await self._parts.speaker.play(reply.id, _shifted(audio, offset_ms)):
                return

    async def _apologise(self, reply: Reply) -> None:
        """The model failed: words to the caller; a second turn in a row without a model ends the call."""
        self._failed_turns += 1
        gives_up = self._failed_turns >= MAX_FAILED_TURNS or self._parts.chain.hopeless
        if not reply.answered:
            reply.kind = TurnKind.APOLOGY
        if gives_up:
            self._parts.tell(ev.EndRequested("provider_failed", say=True))
            self._parts.speaker.finish(reply.id)
            return
        try:
            reply.rounds[-1].complete = True
            await self._line(reply, self._phrases.apology)
        except* VoiceFailedError:
            self._voice_failed(reply)
        else:
            self._parts.speaker.finish(reply.id)

    def _voice_failed(self, reply: Reply) -> None:
        log.error("voice.failed", reply_id=reply.id)
        self._parts.tell(ev.EndRequested("provider_failed", say=True))
        self._parts.tell(ev.ReplyFailed(reply.id))


class _Speech:
    """Opens a speech stream in the warm session, with our own error."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self._stream: AbstractAsyncContextManager[SpeechStream] | None = None

    async def __aenter__(self) -> SpeechStream:
        try:
            self._stream = (await self._voices.session()).speak()
            return await self._stream.__aenter__()
        except ProviderError as exc:
            raise VoiceFailedError(str(exc)) from exc

    async def __aexit__(self, *error: object) -> bool | None:
        if self._stream is None:
            return None
        return await self._stream.__aexit__(*error)  # type: ignore[arg-type]


def _shifted(audio: SpokenAudio, offset_ms: float) -> SpokenAudio:
    if not offset_ms or not audio.spans:
        return audio
    spans = tuple(TextSpan(s.text, s.start_ms + offset_ms, s.end_ms + offset_ms) for s in audio.spans)
    return replace(audio, spans=spans)


async def _done(text: str, _key: str) -> ToolAnswer:
    return ToolAnswer(ok=True, text=text)
