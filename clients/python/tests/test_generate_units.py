"""What a turn of a language model is asked with: text, ids or a conversation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import cabstand
from cabstand._generate import generate_input


class TestGenerate:
    def test_text_and_ids(self) -> None:
        assert generate_input("a", None, None, None) == ("a", None)
        prompt, inputs = generate_input([5, 6], None, None, None)
        assert prompt == ""
        assert inputs is not None
        assert inputs["input_ids"].dtype == np.int64
        assert inputs["input_ids"].tolist() == [5, 6]
        assert generate_input(np.array([5], np.int32), None, None, None)[1] == {"input_ids": np.array([5])}

    def test_a_conversation_has_the_date_of_its_beginning(self) -> None:
        messages = [{"role": "user", "content": "Hi"}]
        prompt, inputs = generate_input(None, messages, [{"name": "f"}], {"x": 1})
        assert prompt == ""
        assert inputs is not None
        said = json.loads(inputs["messages"][0])
        assert said.pop("now") > 1_600_000_000
        assert said == {"messages": messages, "tools": [{"name": "f"}], "template": {"x": 1}}

    @pytest.mark.parametrize(
        "given",
        [
            (None, None, None, None),
            ("a", [{"role": "user"}], None, None),
            ("a", None, [{}], None),
            ([0.5], None, None, None),
            ([[1]], None, None, None),
            (None, [{"role": object()}], None, None),
        ],
    )
    def test_what_is_wrong_is_refused(self, given: Any) -> None:
        with pytest.raises(cabstand.CallerError):
            generate_input(*given)
