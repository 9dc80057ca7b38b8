package e2e

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

// failover hurts the hoster of a stream in one way after the other, in the middle of a turn.
func failover(t *testing.T, s *subnet.Subnet) {
	client := dial(t, s, func(c *cabstand.Config) { c.Timeouts.Stall = 2 * time.Second })
	want := expected(t, s)[:120]

	session := func(t *testing.T, recovered *atomic.Int32) *cabstand.Session {
		t.Helper()
		one, err := client.Session(context.Background(), "silero-vad", cabstand.WithOnRecovered(func(r cabstand.Recovery) {
			t.Logf("%s: from %s to %s in %v", r.Cause.Reason, r.From, r.To, r.Gap)
			recovered.Add(1)
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = one.Close() })
		return one
	}
	cases := []struct {
		name  string
		fault subnet.Fault
		live  bool
		// The stream must have been seen to break.
		breaks bool
	}{
		{"SIGKILL", subnet.Fault{Kind: "kill-hoster", DownMs: 500}, false, true},
		{"SIGKILL, live", subnet.Fault{Kind: "kill-hoster", DownMs: 500}, true, true},
		{"SIGTERM", subnet.Fault{Kind: "drain", DownMs: 100}, false, true},
		{"SIGTERM, live", subnet.Fault{Kind: "drain", DownMs: 100}, true, true},
		{"SIGSTOP, live", subnet.Fault{Kind: "stop-hoster", Ms: 8000}, true, true},
		{"SIGKILL to the engine", subnet.Fault{Kind: "kill-engine"}, false, false},
		{"reset connections, live", subnet.Fault{Kind: "reset"}, true, true},
		{"restarted routers", subnet.Fault{Kind: "restart-router", All: true, DownMs: 500}, false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var recovered atomic.Int32
			one := session(t, &recovered)
			var got []float64
			read := func(turn *cabstand.Turn, hurtAt int) {
				t.Helper()
				for chunk, err := range turn.Chunks() {
					if err != nil {
						t.Fatalf("after %d chunks: %v", len(got), err)
					}
					if got = append(got, probability(t, chunk)); len(got) == hurtAt {
						s.Hurt(t, c.fault, one.Node(), "silero-vad")
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
			// Several turns, so that what follows the break has the state of before.
			for from := 0; from < 120; from += 40 {
				ctx := within(t, 3*time.Minute)
				turn := start(t, ctx, s, one, from, 40, c.live)
				read(turn, 55)
			}
			closeTo(t, got, want)
			if c.breaks && recovered.Load() == 0 {
				t.Error("the stream did not break")
			}
			if findings := s.Mend(t); len(findings) > 0 {
				t.Error(findings)
			}
		})
	}

	t.Run("a session that is not durable says that it is lost", func(t *testing.T) {
		one, err := client.Session(context.Background(), "silero-vad", cabstand.WithDurable(false))
		if err != nil {
			t.Fatal(err)
		}
		defer one.Close()
		turn := start(t, within(t, time.Minute), s, one, 0, 100, true)
		var failed error
		for chunk, err := range turn.Chunks() {
			if failed = err; err == nil && chunk.Index == 10 {
				s.Hurt(t, subnet.Fault{Kind: "kill-hoster"}, one.Node(), "silero-vad")
			}
		}
		if cabstand.FromError(failed) == nil || cabstand.FromError(failed).Class != cabstand.ClassNode {
			t.Error(failed)
		}
		if _, err := one.Start(context.Background(), cabstand.Input{}); err == nil {
			t.Error("another turn would not have its state")
		}
		s.Mend(t)
	})
}

func start(t testing.TB, ctx context.Context, s *subnet.Subnet, session *cabstand.Session, from, frames int, live bool) *cabstand.Turn {
	t.Helper()
	if !live {
		turn, err := session.Start(ctx, cabstand.Tensors(cabstand.NewTensor("audio", samples(t, s, from, frames))))
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	turn, err := session.Live(ctx, cabstand.Input{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range frames {
			if turn.Send(ctx, cabstand.NewTensor("audio", samples(t, s, from+i, 1))) != nil {
				return
			}
			time.Sleep(15 * time.Millisecond)
		}
		_ = turn.CloseSend()
	}()
	return turn
}
