package e2e

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// speaker uses a session with live input, until it is told to stop.
type speaker struct {
	session *cabstand.Session
	stop    context.CancelFunc
	done    chan error

	mu  sync.Mutex
	got map[int64]float64
}

func speak(t *testing.T, s *subnet.Subnet, client *cabstand.Client) *speaker {
	t.Helper()
	session, err := client.Session(context.Background(), "silero-vad")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	talking, stop := context.WithCancel(within(t, 5*time.Minute))
	spoken := &speaker{session: session, stop: stop, done: make(chan error, 1), got: map[int64]float64{}}
	turn, err := session.Live(within(t, 5*time.Minute), cabstand.Input{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		recording := samples(t, s, 0, 300)
		for i := 0; talking.Err() == nil; i++ {
			from := i * frame % (len(recording) - frame)
			if turn.Send(context.Background(), cabstand.NewTensor("audio", recording[from:from+frame])) != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = turn.CloseSend()
	}()
	begun := make(chan struct{})
	go func() {
		for chunk, err := range turn.Chunks() {
			if err != nil {
				spoken.done <- err
				return
			}
			values, _ := cabstand.Values[float32](chunk.Output("speech_probability"))
			spoken.mu.Lock()
			spoken.got[chunk.Position] = float64(values[0])
			spoken.mu.Unlock()
			if chunk.Index == 0 {
				close(begun)
			}
		}
		spoken.done <- nil
	}()
	<-begun
	return spoken
}

func (s *speaker) newest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Max(slices.Collect(maps.Keys(s.got)))
}

// TestSubnetWatching has a subnet of its own: what is done to it leaves hosters under suspicion for a while.
func TestSubnetWatching(t *testing.T) {
	s := subnet.Start(t, map[string]any{
		"hosters": 3, "routers": 2, "hosterConfig": map[string]any{"only": []string{"silero-vad", "g2p"}},
		// Hosters of a machine that does other things, too, are slow to answer.
		"routerConfig": map[string]any{"probes": map[string]any{"timeout_seconds": 10, "max_interval_seconds": 2}},
	})
	t.Run("signed requests", func(t *testing.T) { signed(t, s) })
	t.Run("views", func(t *testing.T) { watching(t, s) })
}

// watching: who only watches sees what the one who uses the session gets, wherever that goes.
func watching(t *testing.T, s *subnet.Subnet) {
	client, other := dial(t, s), dial(t, s)
	cases := map[string]*subnet.Fault{
		"nothing happens": nil,
		"SIGKILL":         {Kind: "kill-hoster", DownMs: 200},
		"its engine dies": {Kind: "kill-engine"},
		"SIGTERM":         {Kind: "drain", DownMs: 200},
		"SIGSTOP":         {Kind: "stop-hoster", Ms: 20_000},
		"a reset":         {Kind: "reset"},
	}
	for name, fault := range cases {
		t.Run(name, func(t *testing.T) {
			spoken := speak(t, s, client)
			ctx := within(t, 4*time.Minute)
			skipped := int64(0)
			view, err := other.View(ctx, spoken.session.ID(), cabstand.ViewOptions{OnSkipped: func(n int64) { skipped += n }})
			if err != nil {
				t.Fatal(err)
			}
			if view.Model() != "silero-vad" || view.Node() == "" || view.ID() != spoken.session.ID() {
				t.Error(view.Model(), view.Node(), view.ID())
			}
			seen := map[int64]float64{}
			hurtAt, over := int64(-1), false
			for chunk, err := range view.Chunks(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if _, twice := seen[chunk.Position]; twice {
					t.Errorf("position %d twice", chunk.Position)
				}
				seen[chunk.Position] = probability(t, chunk)
				switch {
				case len(seen) == 20 && fault != nil:
					s.Hurt(t, *fault, view.Node(), "silero-vad")
					hurtAt = spoken.newest()
				case len(seen) > 60 && chunk.Position > hurtAt+20 && !over:
					// Once it has gone on behind the fault.
					over = true
					spoken.stop()
					if err := <-spoken.done; err != nil {
						t.Fatal(err)
					}
					if err := spoken.session.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if end := view.End(); end == nil || end.Err != nil || end.Reason != pb.EndReason_END_REASON_COMPLETED {
				t.Errorf("%+v", end)
			}
			from, missed := slices.Min(slices.Collect(maps.Keys(seen))), int64(0)
			for position, value := range spoken.got {
				got, is := seen[position]
				if is && got != value {
					t.Errorf("%v at %d, not %v", got, position, value)
				}
				if !is && position > from {
					missed++
				}
			}
			if missed > skipped || (fault == nil && skipped > 0) {
				t.Errorf("%d chunks are missing, and %d records were skipped", missed, skipped)
			}
			s.Mend(t)
		})
	}
	t.Run("a session that nobody has", func(t *testing.T) {
		_, err := client.View(within(t, time.Minute), "nobody-has-this", cabstand.ViewOptions{Model: "silero-vad"})
		if reason(err) != cabstand.ReasonSessionUnknown {
			t.Error(err)
		}
	})
	t.Run("closing ends a view that waits", func(t *testing.T) {
		session, err := client.Session(context.Background(), "silero-vad")
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		for _, err := range session.Run(within(t, time.Minute), cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, 0, 3)))) {
			if err != nil {
				t.Fatal(err)
			}
		}
		view, err := other.View(within(t, time.Minute), session.ID(), cabstand.ViewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(200*time.Millisecond, func() { _ = view.Close() })
		for chunk, err := range view.Chunks(within(t, time.Minute)) {
			t.Error(chunk, err)
		}
		if view.End() != nil {
			t.Error(view.End())
		}
	})
}

// signed uses a session whose requests are signed, beside routers and hosters that take tokens, too.
func signed(t *testing.T, s *subnet.Subnet) {
	client := dial(t, s, func(c *cabstand.Config) { c.SignRequests = true })
	session, err := client.Session(context.Background(), "silero-vad")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var got []float64
	run := func(from int) {
		t.Helper()
		in := cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, from, 20)))
		for chunk, err := range session.Run(within(t, time.Minute), in) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, probability(t, chunk))
		}
	}
	run(0)
	view, err := client.View(within(t, time.Minute), session.ID(), cabstand.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Hurt(t, subnet.Fault{Kind: "kill-hoster", DownMs: 200}, session.Node(), "silero-vad")
	run(20)
	closeTo(t, got, expected(t, s)[:40])
	_ = view.Close()
	if _, err := client.ModelInfo(within(t, time.Minute), "g2p"); err != nil {
		t.Error(err)
	}
	s.Mend(t)
}
