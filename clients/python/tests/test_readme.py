"""The examples of README.md, each as a program of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.subnet import Subnet

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^## (.+?)$|^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)


def examples() -> list[tuple[str, str]]:
    found, heading = [], ""
    for title, code in EXAMPLES:
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


SAYS = {
    "A stream": "0 T\n1  OW1\n",
    "Arrays": "31 True\nTurnResult(turn=0, reason='completed', steps=31, chunks=31, note='', generation=None)\n",
    "Language models": "5 completed\n",
    "Live input": "30 [",
    "Modules": "{'from_frame': ",
    "Watching a session": "True (64, 96, 3)\n",
    "Without asyncio": "HH EH1 L OW0\n",
    "Errors": "INPUT_RANK [samples]\n",
}


def test_all_examples_are_known() -> None:
    assert [heading for heading, _ in examples()] == list(SAYS)


@pytest.mark.subnet
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("heading", "code"), examples(), ids=list(SAYS))
async def test_example(subnet: Subnet, heading: str, code: str, tmp_path: Path) -> None:
    assert code.count("127.0.0.1:50050") == 1
    keys = tmp_path / ".cabstand"
    keys.mkdir()
    (keys / "keys").symlink_to(subnet.keys)
    program = tmp_path / "example.py"
    program.write_text(code.replace("127.0.0.1:50050", subnet.router_addresses[0]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(program),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()
    assert SAYS[heading] in said.decode()
