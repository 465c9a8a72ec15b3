"""Every wait on a store has a deadline: its driver is called inside `asked` or `written` of `StoreCalls`."""

import ast
from collections.abc import Iterator
from typing import Final

from support.modules import Module

DRIVER: Final = frozenset({
    "aggregate", "bulk_write", "command", "count_documents", "create_index", "create_indexes", "delete_many",
    "delete_one", "distinct", "drop", "drop_index", "drop_indexes", "estimated_document_count", "find", "find_one",
    "find_one_and_delete", "find_one_and_replace", "find_one_and_update", "index_information", "insert_many",
    "insert_one", "list_collection_names", "list_indexes", "rename", "replace_one", "to_list", "update_many",
    "update_one",
})  # fmt: skip
"""Methods of the driver that ask the store, or hand out what does when it is read."""
GUARDS: Final = ("asked", "written", "_asked")


def store_call_without_deadline(module: Module) -> Iterator[str]:
    """A call of the store's driver that may wait for ever, or raise the driver's own errors."""
    if not any(each.is_in("motor") for each in module.imports()):
        return
    guarded = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AsyncWith) and any(_is_guard(item.context_expr) for item in node.items)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(module.tree):
        for waited in _waits(node):
            if id(node) not in guarded and (method := _driver_method(waited)):
                yield module.at(waited.lineno, f"waits for {method} outside of asked() and written()")


def _waits(node: ast.AST) -> Iterator[ast.expr]:
    """What a node waits for."""
    if isinstance(node, ast.Await):
        yield node.value
    elif isinstance(node, ast.AsyncFor):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        yield from (each.iter for each in node.generators if each.is_async)


def _driver_method(waited: ast.expr) -> str | None:
    for call in ast.walk(waited):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        is_own = isinstance(call.func.value, ast.Name) and call.func.value.id == "self"
        if call.func.attr in DRIVER and not is_own:
            return call.func.attr
    return None


def _is_guard(context: ast.expr) -> bool:
    return isinstance(context, ast.Call) and isinstance(context.func, ast.Attribute) and context.func.attr in GUARDS
