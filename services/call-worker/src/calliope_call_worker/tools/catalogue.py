"""The tools that an assistant offers its model, made from its document. Pure."""

from typing import Any, Final

from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope_call_worker.providers.llm.base import ToolSpec

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"
DESTINATION: Final = "destination"
BUILT_IN: Final = frozenset({END_CALL, TRANSFER_CALL})


def offered(tools: ToolsSettings) -> tuple[ToolSpec, ...]:
    """Built-in tools that are enabled, then the custom ones."""
    specs = []
    if tools.end_call.enabled:
        specs.append(ToolSpec(END_CALL, _described("End the call.", tools.end_call.scenarios), _object({})))
    if tools.transfer_call.enabled:
        numbers = {"type": "string", "enum": list(tools.transfer_call.transfer_numbers)}
        specs.append(
            ToolSpec(
                TRANSFER_CALL,
                _described("Connect the caller to a person.", tools.transfer_call.scenarios),
                _object({DESTINATION: numbers}),
            )
        )
    specs.extend(ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools.custom_tools)
    return tuple(specs)


def custom_tool(tools: ToolsSettings, name: str) -> CustomTool | None:
    """The custom tool of that name."""
    return next((tool for tool in tools.custom_tools if tool.name == name), None)


def refused_by_built_in(tools: ToolsSettings, name: str, arguments: dict[str, Any]) -> str:
    """What is wrong with the arguments of a built-in tool, for the model; empty when nothing is.

    What `offered` says of them, without a validator: a number that is not listed is none, whatever the model says.
    """
    taken = {DESTINATION} if name == TRANSFER_CALL else frozenset[str]()
    if unknown := sorted(arguments.keys() - taken):
        return f"{name} takes no argument {unknown[0][:60]!r}"
    if missing := sorted(taken - arguments.keys()):
        return f"{missing[0]!r} is a required property"
    numbers = tools.transfer_call.transfer_numbers
    if name == TRANSFER_CALL and arguments[DESTINATION] not in numbers:
        return f"{DESTINATION}: {str(arguments[DESTINATION])[:60]!r} is not one of {', '.join(numbers)}"
    return ""


def _described(purpose: str, scenarios: tuple[str, ...]) -> str:
    return f"{purpose} Use it when: {'; '.join(scenarios)}." if scenarios else purpose


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
