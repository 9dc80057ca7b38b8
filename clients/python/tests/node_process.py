"""A program of Node that tests talk to in lines of JSON, on its standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any


async def started(program: Path, options: dict[str, Any]) -> tuple[asyncio.subprocess.Process, Any]:
    """Starts it with its options; answers what it says first, once all that it starts is there."""
    process = await asyncio.create_subprocess_exec(
        os.environ.get("NODE", "node"),
        str(program),
        json.dumps(options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    if not first:
        raise RuntimeError("the subnet did not start: build the services first (npm run build)")
    return process, json.loads(first)
