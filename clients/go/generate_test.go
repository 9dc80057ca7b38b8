package cabstand

import (
	"testing"
	"time"
)

func TestGenerateInput(t *testing.T) {
	now := time.Unix(7, 0)
	in, bad := Generate{Prompt: "a", Parameters: map[string]any{"max_tokens": 3}}.input(now)
	if bad != nil || in.Prompt != "a" || len(in.Tensors) != 0 || in.Parameters["max_tokens"] != 3 {
		t.Fatalf("%+v, %v", in, bad)
	}
	in, bad = Generate{IDs: []int64{5, 6}}.input(now)
	if bad != nil || in.Prompt != "" || len(in.Tensors) != 1 || in.Tensors[0].Name != "input_ids" || len(in.Tensors[0].Data) != 16 {
		t.Fatalf("%+v, %v", in, bad)
	}
	in, bad = Generate{
		Messages: []Said{{Role: "user", Content: "Hi"}}, Tools: []any{map[string]any{"name": "f"}},
		Template: map[string]any{"x": 1},
	}.input(now)
	want := `{"messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f"}],"template":{"x":1},"now":7}`
	if bad != nil || len(in.Tensors) != 1 || in.Tensors[0].Name != "messages" || in.Tensors[0].Strings[0] != want {
		t.Fatalf("%+v, %v", in, bad)
	}
	for _, wrong := range []Generate{
		{},
		{Prompt: "a", IDs: []int64{5}},
		{Prompt: "a", Messages: []Said{{}}},
		{Prompt: "a", Tools: []any{1}},
		{Messages: []Said{{}}, Tools: []any{make(chan int)}},
	} {
		if _, bad := wrong.input(now); bad == nil || bad.Reason != ReasonInvalidArgument {
			t.Errorf("%+v: %v", wrong, bad)
		}
	}
}
