package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

// TestSubnetIdle: sessions that make way for one another between turns, and callers who notice nothing.
func TestSubnetIdle(t *testing.T) {
	s := subnet.Start(t, map[string]any{
		"hosters": 1, "routers": 1, "hosterConfig": map[string]any{
			"only": []string{"silero-vad"}, "limits": map[string]any{"max_sessions": 1, "queue_length": 0},
		},
	})
	client := dial(t, s)
	const sessions, turns, frames = 2, 3, 10
	var causes []cabstand.Reason
	told := cabstand.WithOnRecovered(func(r cabstand.Recovery) { causes = append(causes, r.Cause.Reason) })
	var all [sessions]*cabstand.Session
	var got [sessions][]float64
	for i := range all {
		session, err := client.Session(context.Background(), "silero-vad", told)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = session
	}
	for turn := range turns {
		audio := cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, turn*frames, frames)))
		for i, session := range all {
			for chunk, err := range session.Run(within(t, 4*time.Minute), audio) {
				if err != nil {
					t.Fatal(err)
				}
				got[i] = append(got[i], probability(t, chunk))
			}
		}
	}
	for i, session := range all {
		closeTo(t, got[i], expected(t, s)[:turns*frames])
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Each but the first turn of a session began with the other one's in the only place.
	if len(causes) != sessions*(turns-1) {
		t.Fatal(causes)
	}
	for _, cause := range causes {
		if cause != cabstand.ReasonSessionEvicted {
			t.Fatal(causes)
		}
	}
}
