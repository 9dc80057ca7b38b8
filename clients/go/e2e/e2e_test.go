// Package e2e holds the client against routers and hosters of this repository.
package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

const frame = 512

func dial(t testing.TB, s *subnet.Subnet, change ...func(*cabstand.Config)) *cabstand.Client {
	t.Helper()
	config := cabstand.Config{Routers: s.Routers, KeyFile: s.Key, Timeouts: cabstand.Timeouts{
		// Hosters need long to start again where other tests keep the machine busy.
		Place: 5 * time.Minute, Recover: 5 * time.Minute, First: 30 * time.Second,
	}}
	for _, one := range change {
		one(&config)
	}
	client, err := cabstand.Dial(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// samples of the recording, from a frame on.
func samples(t testing.TB, s *subnet.Subnet, from, frames int) []int16 {
	t.Helper()
	wav, err := os.ReadFile(filepath.Join(s.Assets, "speech.wav"))
	if err != nil {
		t.Fatal(err)
	}
	values := make([]int16, frame*frames)
	if _, err := binary.Decode(wav[44+2*frame*from:], binary.LittleEndian, values); err != nil {
		t.Fatal(err)
	}
	return values
}

func expected(t testing.TB, s *subnet.Subnet) []float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.Assets, "speech-probabilities.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Values []float64 `json:"speech_probability"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Values
}

func probability(t testing.TB, chunk *cabstand.Chunk) float64 {
	t.Helper()
	values, err := cabstand.Values[float32](chunk.Output("speech_probability"))
	if err != nil || len(values) != 1 {
		t.Fatalf("%v, %v", values, err)
	}
	return float64(values[0])
}

func reason(err error) cabstand.Reason {
	var failed *cabstand.Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

func closeTo(t testing.TB, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d values, not %d", len(got), len(want))
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > 1e-4 {
			t.Fatalf("value %d is %v, not %v", i, got[i], want[i])
		}
	}
}

func TestSubnet(t *testing.T) {
	var models []string
	for _, folder := range []string{"models", "test/models", "test/language-models"} {
		models = append(models, filepath.Join(subnet.Root(), folder))
	}
	s := subnet.Start(t, map[string]any{"hosters": 2, "routers": 2, "hosterConfig": map[string]any{
		"models": models, "only": []string{"silero-vad", "g2p", "plasma", "gpt2"},
	}})
	client := dial(t, s)
	want := expected(t, s)

	t.Run("a plain turn", func(t *testing.T) {
		text := ""
		for chunk, err := range client.Run(within(t, time.Minute), "g2p", cabstand.Prompt("tokenizer"), cabstand.WithDurable(false)) {
			if err != nil {
				t.Fatal(err)
			}
			text += chunk.Text
		}
		if text != "T OW1 K AH0 N AY2 Z ER0" {
			t.Fatalf("%q", text)
		}
	})

	t.Run("a language model goes on with text and with ids", func(t *testing.T) { languageModel(t, s, client) })

	t.Run("turns see the state of those before", func(t *testing.T) {
		for _, durable := range []bool{true, false} {
			session, err := client.Session(context.Background(), "silero-vad", cabstand.WithDurable(durable))
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for turn := range 3 {
				in := cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, 20*turn, 20)))
				for chunk, err := range session.Run(within(t, time.Minute), in) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, probability(t, chunk))
				}
			}
			closeTo(t, got, want[:60])
			if err := session.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})

	t.Run("live", func(t *testing.T) {
		session, err := client.Session(context.Background(), "silero-vad")
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		turn, err := session.Live(within(t, time.Minute), cabstand.Input{})
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			for i := range 100 {
				if err := turn.Send(context.Background(), cabstand.NewTensor("audio", samples(t, s, i, 1))); err != nil {
					sent <- err
					return
				}
			}
			sent <- turn.CloseSend()
		}()
		var got []float64
		for chunk, err := range turn.Chunks() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, probability(t, chunk))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		closeTo(t, got, want[:100])
		if result := turn.Result(); result == nil || result.Chunks != 100 || result.Steps != 100 {
			t.Fatalf("%+v", result)
		}
	})

	t.Run("bad input has its reason, and the session goes on", func(t *testing.T) {
		session, err := client.Session(context.Background(), "silero-vad")
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		run := func(in cabstand.Input) (int, error) {
			chunks := 0
			for _, err := range session.Run(within(t, time.Minute), in) {
				if err != nil {
					return chunks, err
				}
				chunks++
			}
			return chunks, nil
		}
		good := cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, 0, 5)))
		if _, err := run(cabstand.Tensors(cabstand.NewTensor("sound", []float32{1}))); reason(err) != cabstand.ReasonInputUnknown {
			t.Fatal(err)
		}
		if chunks, err := run(good); err != nil || chunks != 5 {
			t.Fatal(chunks, err)
		}
		if _, err := run(cabstand.Tensors(cabstand.NewTensor("audio", []float32{float32(math.NaN())}))); reason(err) != cabstand.ReasonInputNotFinite {
			t.Fatal(err)
		}
		if chunks, err := run(good); err != nil || chunks != 5 {
			t.Fatal(chunks, err)
		}
		// What cannot be encoded never leaves: no node is blamed.
		if _, err := run(cabstand.Prompt("\xff")); reason(err) != cabstand.ReasonInvalidArgument {
			t.Fatal(err)
		}
		if chunks, err := run(good); err != nil || chunks != 5 {
			t.Fatal(chunks, err)
		}
		for _, err := range client.Run(within(t, time.Minute), "no-such-model", good) {
			if reason(err) != cabstand.ReasonModelUnknown {
				t.Fatal(err)
			}
		}
	})

	t.Run("a loop that is left cancels its turn", func(t *testing.T) {
		session, err := client.Session(context.Background(), "silero-vad")
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		in := cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, 0, 300)))
		for _, err := range session.Run(within(t, time.Minute), in) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		ctx, cancel := context.WithCancel(within(t, time.Minute))
		seen := 0
		for _, err := range session.Run(ctx, in) {
			if seen++; seen == 3 {
				cancel()
			}
			if err != nil {
				if !errors.Is(err, context.Canceled) || reason(err) != cabstand.ReasonCancelled {
					t.Fatal(err)
				}
				break
			}
		}
		cancel()
		chunks := 0
		for _, err := range session.Run(within(t, time.Minute), cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, 0, 4)))) {
			if err != nil {
				t.Fatal(err)
			}
			chunks++
		}
		if chunks != 4 {
			t.Fatal(chunks)
		}
	})

	t.Run("a module takes commands and tells messages", func(t *testing.T) { module(t, client) })
	t.Run("raw stubs, with the credentials of this package", func(t *testing.T) { rawStubs(t, s) })
	t.Run("the programs of README.md", func(t *testing.T) { programs(t, s) })
	t.Run("failover", func(t *testing.T) { failover(t, s) })
}
