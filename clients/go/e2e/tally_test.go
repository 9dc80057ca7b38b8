package e2e

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cabstand/cabstand-go"
)

// tally of a run.
type tally struct {
	mu                                          sync.Mutex
	streams, chunks, lost, twice, wrong, failed int
	// Streams through gateways.
	through    int
	hits       map[string]int
	recoveries int
	gaps       []time.Duration
	details    []string
}

// judge compares what came with an undisturbed run.
func (v *tally) judge(of script, got, want observation, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.streams++
	v.chunks += len(got)
	if err != nil {
		v.failed++
		v.details = append(v.details, fmt.Sprintf("%s failed after %d of %d: %v", of.name, len(got), len(want), err))
		return
	}
	times := map[string]int{}
	for _, one := range got {
		key, _, _ := strings.Cut(one, " \"")
		if times[key]++; times[key] == 2 {
			v.twice++
		}
	}
	v.lost += max(0, len(want)-len(got))
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			v.wrong++
			v.details = append(v.details, fmt.Sprintf("%s: %s, not %s", of.name, got[i], want[i]))
			break
		}
	}
	if len(got) > len(want) {
		v.twice += len(got) - len(want)
	}
}

// Streams that are under way, and where.
type board struct {
	mu   sync.Mutex
	rows map[int]*row
}

type row struct {
	model, node string
	last        time.Time
	flowing     bool
	// Its engine was hurt there, and no record has come since.
	engineless string
}

func (b *board) told(slot int, model string) func(*cabstand.Session, bool) {
	return func(session *cabstand.Session, flowing bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.rows[slot] = &row{model: model, node: session.Node(), last: time.Now(), flowing: flowing}
	}
}

// look gives the models with streams that flow, by hoster, and where an engine is awaited.
func (b *board) look() (busy map[string][]string, engineless []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	busy, engineless = map[string][]string{}, []string{}
	flowing := 0
	for _, one := range b.rows {
		if one.engineless != "" {
			engineless = append(engineless, one.engineless, one.node)
		}
		if one.flowing && time.Since(one.last) < time.Second {
			flowing++
			busy[one.node] = append(busy[one.node], one.model)
		}
	}
	// A fault that strikes what stands still already shows nothing.
	if flowing*4 < *streams {
		return map[string][]string{}, engineless
	}
	return busy, engineless
}

func (b *board) struck(hoster, model string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, one := range b.rows {
		if one.node == hoster && one.model == model {
			one.engineless = hoster
		}
	}
}

func (v *tally) report(t *testing.T, findings []string) {
	sort.Slice(v.gaps, func(i, j int) bool { return v.gaps[i] < v.gaps[j] })
	gap := func(share float64) time.Duration {
		if len(v.gaps) == 0 {
			return 0
		}
		return v.gaps[int(share*float64(len(v.gaps)-1))].Round(time.Millisecond)
	}
	t.Logf("faults %v", v.hits)
	t.Logf("%d streams, %d chunks and ends: %d lost, %d twice, %d wrong, %d failed; %d times a stream went on, gap p50 %v, p95 %v, longest %v",
		v.streams, v.chunks, v.lost, v.twice, v.wrong, v.failed, v.recoveries, gap(0.5), gap(0.95), gap(1))
	if v.through > 0 {
		t.Logf("%d of these through gateways", v.through)
	}
	for _, one := range append(v.details, findings...) {
		t.Error(one)
	}
	if v.lost+v.twice+v.wrong+v.failed > 0 || v.streams == 0 || v.recoveries == 0 {
		t.Error("see above")
	}
}
