package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

func languageModel(t *testing.T, s *subnet.Subnet, client *cabstand.Client) {
	text, err := os.ReadFile(filepath.Join(s.Assets, "../language-models/gpt2-greedy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct{ Prompt, Tokens []int64 }
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	session, err := client.Session(ctx, "gpt2")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for _, answer := range answers[:3] {
		var ids []int64
		ask := cabstand.Generate{IDs: answer.Prompt, Parameters: map[string]any{"max_tokens": 48}}
		for token, err := range session.Generate(ctx, ask) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, token.ID)
		}
		if !slices.Equal(ids, answer.Tokens) {
			t.Fatalf("%v, not %v", ids, answer.Tokens)
		}
	}
	said := ""
	for token, err := range session.Generate(ctx, cabstand.Generate{Prompt: "A router is"}) {
		if err != nil {
			t.Fatal(err)
		}
		said += token.Text
		if token.Index == 5 {
			break
		}
	}
	if said == "" {
		t.Fatal("nothing was said")
	}
	// This one has no chat template.
	chat := cabstand.Generate{Messages: []cabstand.Said{{Role: "user", Content: "Hi"}}}
	for _, err := range session.Generate(ctx, chat) {
		if reason(err) != cabstand.ReasonInputUnknown {
			t.Fatalf("%v", err)
		}
	}
}
