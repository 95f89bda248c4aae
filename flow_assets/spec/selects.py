"""Is this text one SELECT, and nothing beside it?"""

import json
from functools import lru_cache

from flow_assets.spec.where import parse_tree

_NOT_SELECT = "Only SELECT statements"


@lru_cache(maxsize=2048)
def not_one_select(text: str) -> str | None:
    """Why a text is not one SELECT, to follow the name of its file; None if it is one."""
    if not text.strip():
        return "is empty"
    tree = json.loads(parse_tree(text))
    if tree["error"]:
        message = str(tree["error_message"]).splitlines()[0]
        return "holds something else than a SELECT" if _NOT_SELECT in message else f"is not SQL: {message}"
    if len(tree["statements"]) != 1:
        return f"holds {len(tree['statements'])} statements"
    return None
