"""The example of docs/open-inference.md, as it stands there."""

import contextlib
import io
import re
import tempfile
from pathlib import Path

from support import FIRST, SUBNET, check

PAGE = Path(__file__).parents[3] / "docs/open-inference.md"


@check
def the_example_of_the_page():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with tempfile.NamedTemporaryFile("w") as token:
        token.write(SUBNET["token"] + "\n")
        token.flush()
        for there, here in ((".cabstand/keys/client.token", token.name), ("127.0.0.1:50051", FIRST)):
            assert code.count(there) == 1, there
            code = code.replace(there, here)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), {})
    lines = printed.getvalue().splitlines()
    assert lines[0] == "T AE1 K S IY0" and len(lines) == 11, lines
