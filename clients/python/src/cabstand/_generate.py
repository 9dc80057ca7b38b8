"""Turns of language models."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cabstand._errors import invalid
from cabstand._tensors import Array


def generate_input(
    prompt: str | Sequence[int] | Array | None,
    messages: Sequence[Mapping[str, Any]] | None,
    tools: Sequence[Mapping[str, Any]] | None,
    template: Mapping[str, Any] | None,
) -> tuple[str, dict[str, Any] | None]:
    """Prompt and inputs of a turn. Raises INVALID_ARGUMENT unless there is one of prompt and messages."""
    if (prompt is None) == (messages is None):
        given = "neither" if prompt is None else "both"
        raise invalid("prompt, messages", given, "one of the two")
    if messages is not None:
        return "", {"messages": [_conversation(messages, tools, template)]}
    if tools is not None or template is not None:
        raise invalid("tools, template", "a prompt", "messages beside them")
    if isinstance(prompt, str):
        return prompt, None
    ids = np.asarray(prompt)
    if ids.ndim != 1 or (ids.size > 0 and ids.dtype.kind not in "iu"):
        raise invalid("prompt", prompt, "text, or ids of tokens")
    return "", {"input_ids": ids.astype(np.int64)}


def _conversation(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None,
    template: Mapping[str, Any] | None,
) -> str:
    # Wherever the turn goes on, templates are told the date of its beginning.
    said: dict[str, Any] = {"messages": list(messages), "now": int(time.time())}
    if tools is not None:
        said["tools"] = list(tools)
    if template is not None:
        said["template"] = dict(template)
    try:
        return json.dumps(said, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise invalid("messages", messages, f"what JSON can say ({error})") from error
