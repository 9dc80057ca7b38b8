package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
)

var (
	faults  = flag.Int("faults", 15, "faults to inflict")
	seed    = flag.Int("seed", 1, "of the schedule; 0 draws one")
	streams = flag.Int("streams", 18, "streams at once")
	gates   = flag.Int("gateways", 0, "gateways that streams go through, too, and that are struck")
	noisy   = flag.Bool("noisy", false, "log what the client does")
)

// A session that is run again and again: the same script gives the same chunks.
type script struct {
	name, model string
	turns       []scriptTurn
}

type scriptTurn struct {
	in cabstand.Input
	// Set for a live turn.
	parts []cabstand.Tensor
}

var kinds = []string{"vad", "vad-live", "accumulator", "accumulator-live", "g2p", "counter"}

const scriptsEach = 3

func makeScript(t testing.TB, s *subnet.Subnet, kind string, number int) script {
	random := rand.New(rand.NewPCG(uint64(number), uint64(len(kind))))
	between := func(from, to int) int { return from + random.IntN(to-from+1) }
	recording := samples(t, s, 0, 350)
	audio := func(n int) cabstand.Tensor {
		from := random.IntN(len(recording) - n)
		return cabstand.NewTensor("audio", recording[from:from+n])
	}
	signal := func(n int) cabstand.Tensor {
		values := make([]float32, n)
		for i := range values {
			values[i] = random.Float32()*8 - 4
		}
		return cabstand.NewTensor("signal", values)
	}
	made := script{name: fmt.Sprintf("%s-%d", kind, number)}
	live := func(turns, least, most int, part func() cabstand.Tensor) {
		for range turns {
			one := scriptTurn{}
			for range between(least, most) {
				one.parts = append(one.parts, part())
			}
			made.turns = append(made.turns, one)
		}
	}
	whole := func(turns int, in func() cabstand.Input) {
		for range turns {
			made.turns = append(made.turns, scriptTurn{in: in()})
		}
	}
	switch kind {
	case "vad":
		// Lengths that are no multiple of a frame: what is left over belongs to the state.
		made.model = "silero-vad"
		whole(between(3, 6), func() cabstand.Input { return cabstand.Tensors(audio(between(20*frame, 160*frame))) })
	case "vad-live":
		made.model = "silero-vad"
		live(between(2, 4), 20, 80, func() cabstand.Tensor { return audio(between(200, 2*frame)) })
	case "accumulator":
		made.model = "accumulator"
		whole(between(3, 6), func() cabstand.Input { return cabstand.Tensors(signal(between(200, 1200))) })
	case "accumulator-live":
		made.model = "accumulator"
		live(between(2, 4), 20, 100, func() cabstand.Tensor { return signal(between(1, 9)) })
	case "g2p":
		made.model = "g2p"
		words := []string{"tokenizer", "hoster", "seamless", "survival", "checkpoint", "acknowledge", "stream"}
		whole(between(4, 10), func() cabstand.Input { return cabstand.Prompt(words[random.IntN(len(words))]) })
	case "counter":
		made.model = "counter-generator"
		whole(between(4, 10), func() cabstand.Input {
			digits := make([]byte, between(1, 40))
			for i := range digits {
				digits[i] = byte('0' + random.IntN(4))
			}
			return cabstand.Prompt(string(digits))
		})
	}
	return made
}

// What a consumer got, chunk by chunk; turns end with a line of their own.
type observation []string

func content(chunk *cabstand.Chunk) string {
	hash := fnv.New64a()
	for _, output := range chunk.Outputs {
		fmt.Fprintf(hash, "%s %v %v %x %q;", output.Name, output.DType, output.Shape, output.Data, output.Strings)
	}
	return fmt.Sprintf("%d/%d %q %x", chunk.Turn, chunk.Index, chunk.Text, hash.Sum64())
}

type pace struct{ read, write time.Duration }

func run(ctx context.Context, client *cabstand.Client, of script, at pace, told func(*cabstand.Session, bool), options ...cabstand.SessionOption) (observation, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	session, err := client.Session(ctx, of.model, options...)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var seen observation
	last := int64(-1)
	for number, one := range of.turns {
		turn, err := begin(ctx, cancel, session, one, at)
		if err != nil {
			return seen, err
		}
		for chunk, err := range turn.Chunks() {
			if err != nil {
				return seen, err
			}
			if chunk.Position <= last || chunk.Turn != int64(number) {
				return seen, fmt.Errorf("position %d of turn %d after %d", chunk.Position, chunk.Turn, last)
			}
			last = chunk.Position
			seen = append(seen, content(chunk))
			told(session, true)
			time.Sleep(at.read)
		}
		result := turn.Result()
		seen = append(seen, fmt.Sprintf("end of %d: %v, %d", number, result.Reason, result.Chunks))
		told(session, false)
	}
	return seen, nil
}

func begin(ctx context.Context, fail context.CancelCauseFunc, session *cabstand.Session, one scriptTurn, at pace) (*cabstand.Turn, error) {
	if one.parts == nil {
		return session.Start(ctx, one.in)
	}
	turn, err := session.Live(ctx, one.in)
	if err != nil {
		return nil, err
	}
	go func() {
		for _, part := range one.parts {
			if err := turn.Send(ctx, part); err != nil {
				fail(fmt.Errorf("Send: %w", err))
				return
			}
			time.Sleep(at.write)
		}
		_ = turn.CloseSend()
	}()
	return turn, nil
}

// TestFaults runs streams while hosters, engines, connections and routers are hurt by a schedule, and compares each
// of them with an undisturbed one: go test ./e2e -run TestFaults -faults 300 -seed 0 -timeout 2h
//
// With -gateways every other stream goes through one, and every third fault strikes one. Such a stream goes on through
// another gateway, like the others at another hoster.
func TestFaults(t *testing.T) {
	if *seed == 0 {
		*seed = int(rand.Uint32())
	}
	t.Logf("seed %d", *seed)
	s := subnet.Start(t, map[string]any{"gateways": *gates, "hosterConfig": map[string]any{
		"only": []string{"silero-vad", "accumulator", "g2p", "counter-generator"},
	}})
	patient := func(c *cabstand.Config) {
		// One application with all streams, and far more failures than the budget of one is made for; Place ends it.
		c.Backoff = cabstand.Backoff{Attempts: 1000, Budget: 5000, PerSecond: 500}
		if *noisy {
			c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
	}
	client := dial(t, s, patient)
	byGateway := client
	if *gates > 0 {
		byGateway = dial(t, s, patient, func(c *cabstand.Config) {
			c.Routers, c.Hosters = nil, s.Gateways
		})
	}
	verdict := &tally{hits: map[string]int{}}
	scripts, references := []script{}, map[string]observation{}
	for _, kind := range kinds {
		for number := range scriptsEach {
			one := makeScript(t, s, kind, number)
			seen, err := run(within(t, 2*time.Minute), client, one, pace{}, func(*cabstand.Session, bool) {})
			if err != nil {
				t.Fatalf("%s, undisturbed: %v", one.name, err)
			}
			scripts, references[one.name] = append(scripts, one), seen
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	closing := make(chan struct{})
	on := &board{rows: map[int]*row{}}
	var all sync.WaitGroup
	for slot := range *streams {
		all.Add(1)
		go func() {
			defer all.Done()
			random := rand.New(rand.NewPCG(uint64(*seed), uint64(slot)))
			// Every other one, and with enough of them of each kind some.
			through := *gates > 0 && (slot+slot/len(kinds))%2 == 0
			with := client
			if through {
				with = byGateway
			}
			for ctx.Err() == nil {
				select {
				case <-closing:
					return
				default:
				}
				one := scripts[(slot%len(kinds))*scriptsEach+random.IntN(scriptsEach)]
				speed := pace{
					read:  []time.Duration{0, 5, 10, 20, 40}[random.IntN(5)] * time.Millisecond,
					write: []time.Duration{5, 10, 20, 40}[random.IntN(4)] * time.Millisecond,
				}
				brief, cancel := context.WithTimeoutCause(ctx, 15*time.Minute, errors.New("stuck for 15 minutes"))
				seen, err := run(brief, with, one, speed, on.told(slot, one.model), cabstand.WithOnRecovered(func(r cabstand.Recovery) {
					verdict.mu.Lock()
					defer verdict.mu.Unlock()
					verdict.recoveries++
					verdict.gaps = append(verdict.gaps, r.Gap)
				}))
				cancel()
				if ctx.Err() == nil {
					if through {
						verdict.mu.Lock()
						verdict.through++
						verdict.mu.Unlock()
					}
					verdict.judge(one, seen, references[one.name], err)
					if err != nil {
						t.Logf("%s failed: %v", one.name, err)
					}
				}
			}
		}()
	}
	began := time.Now()
	for done := 0; done < *faults; {
		if time.Since(began) > time.Duration(*faults)*30*time.Second+5*time.Minute {
			t.Errorf("%d of %d faults only", done, *faults)
			break
		}
		busy, engineless := on.look()
		hurt := s.Scheduled(t, *seed, *faults, busy, engineless)
		if hurt.Fault == "" {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if strings.HasSuffix(hurt.Fault, "-engine") {
			on.struck(hurt.Hoster, hurt.Model)
		}
		done++
		verdict.mu.Lock()
		verdict.hits[hurt.Fault]++
		if done%10 == 0 {
			t.Logf("%v: %d faults, %d streams: %d lost, %d twice, %d wrong, %d failed",
				time.Since(began).Round(time.Second), done, verdict.streams, verdict.lost, verdict.twice, verdict.wrong, verdict.failed)
		}
		verdict.mu.Unlock()
		time.Sleep(time.Duration(hurt.AfterMs) * time.Millisecond)
	}
	close(closing)
	findings := s.Mend(t)
	all.Wait()
	verdict.report(t, findings)
}
