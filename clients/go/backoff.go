package cabstand

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff says how attempts are spaced, and how many there are. Zero values stand for the defaults.
type Backoff struct {
	// Attempts made for one turn before its first record, the first one included. Default 6.
	Attempts int
	// Initial is the ceiling of the first pause; pauses are drawn between 0 and theirs. Default 50 ms.
	Initial time.Duration
	// Max is the ceiling of all pauses; a service that asks for longer gets it. Default 2 s.
	Max time.Duration
	// Budget is how many retries may be saved up, over all sessions of a client. Default 100.
	Budget int
	// PerSecond is how many retries are gained a second. Default 10.
	PerSecond float64
}

func (b Backoff) withDefaults() Backoff {
	set(&b.Attempts, 6)
	set(&b.Initial, 50*time.Millisecond)
	set(&b.Max, 2*time.Second)
	set(&b.Budget, 100)
	set(&b.PerSecond, 10)
	return b
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// pause is drawn with full jitter; `failures` made before it, from 0.
func (b Backoff) pause(failures int) time.Duration {
	ceiling := b.Initial << min(failures, 20)
	if ceiling <= 0 || ceiling > b.Max {
		ceiling = b.Max
	}
	return time.Duration(rand.Float64() * float64(ceiling))
}

// retryBudget bounds the load that retries add when everything fails. First attempts are free.
type retryBudget struct {
	mu        sync.Mutex
	left, max float64
	perSecond float64
	at        time.Time
}

func newRetryBudget(b Backoff) *retryBudget {
	return &retryBudget{left: float64(b.Budget), max: float64(b.Budget), perSecond: b.PerSecond, at: time.Now()}
}

func (r *retryBudget) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.left = min(r.max, r.left+now.Sub(r.at).Seconds()*r.perSecond)
	r.at = now
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}

// A turn has started.
func (r *retryBudget) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = min(r.max, r.left+0.2)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}
