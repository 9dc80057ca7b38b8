package cabstand

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

const (
	// Parts on their way before the writer waits. Hosters ask for more from the fourth on.
	mostParts     = 64
	mostPartBytes = 4 << 20
)

// liveParts is the input of a live turn on its way to the hoster. Parts wait here until the hoster has used them
// up, and longer: until a checkpoint covers them, so that another hoster can go on from it.
type liveParts struct {
	turn int64
	// Bytes kept beyond those on their way.
	mostReplay int

	mu      sync.Mutex
	changed chan struct{}
	// Parts from `base` on; those before were forgotten.
	kept      []livePart
	base      int64
	keptBytes int
	// The hoster has used up the parts below `accepted`, and has those below `wanted` and needs more.
	accepted, wanted int64
	// What it said, of parts that are yet to be sent as well.
	saidAccepted, saidWanted int64
	// Parts below are sent on `stream`.
	sent int64
	// Parts below are in the newest checkpoint, or will not be needed again.
	covered int64
	// At which positions parts were applied.
	applied []appliedPart
	stream  *stream

	ended, reading bool
	// When the application asked for a chunk last, or was given one.
	readAt  time.Time
	writers int
	failed  *Error
}

type livePart struct {
	tensors []*pb.Tensor
	last    bool
	bytes   int
}

type appliedPart struct{ part, position int64 }

func newLiveParts(mostReplay int) *liveParts {
	return &liveParts{mostReplay: mostReplay, changed: make(chan struct{})}
}

// add waits until there is room behind it.
func (l *liveParts) add(ctx context.Context, part livePart, patience time.Duration) *Error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	if l.ended {
		return newError(ReasonInvalidArgument, "Send: the input of this turn was ended")
	}
	if !part.last {
		if err := l.waitForRoom(ctx, patience); err != nil {
			return err
		}
		if l.ended {
			return newError(ReasonInvalidArgument, "Send: the input of this turn was ended")
		}
	}
	l.ended = part.last
	l.kept = append(l.kept, part)
	l.keptBytes += part.bytes
	if l.stream != nil {
		l.stream.wakeUp()
	}
	return nil
}

func (l *liveParts) waitForRoom(ctx context.Context, patience time.Duration) *Error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	l.writers++
	defer func() { l.writers-- }()
	for l.failed == nil && !l.hasRoom() {
		changed := l.changed
		l.mu.Unlock()
		late := false
		select {
		case <-changed:
		case <-timer.C:
			late = true
		case <-ctx.Done():
			l.mu.Lock()
			return ended(ctx)
		}
		l.mu.Lock()
		if !late {
			continue
		}
		// Where the chunks are read, the clock of the reading side decides. A reader may be busy with one just now.
		unread := time.Since(l.readAt)
		switch {
		case l.reading:
			timer.Reset(patience)
		case unread < patience:
			timer.Reset(patience - unread)
		default:
			return newError(ReasonLimitExceeded,
				"Send: no room for %v because the turn's chunks are not being read; read while sending", patience)
		}
	}
	return l.failed
}

func (l *liveParts) hasRoom() bool {
	from := min(max(l.accepted, l.wanted), l.end())
	if l.end()-from >= mostParts {
		return false
	}
	bytes := 0
	for _, part := range l.kept[max(0, from-l.base):] {
		bytes += part.bytes
	}
	return bytes < mostPartBytes
}

func (l *liveParts) end() int64 { return l.base + int64(len(l.kept)) }

// attach: a hoster has the turn and gets the parts. `resumed` is for one that starts from the newest checkpoint or
// from nothing; another one is sent what it has not said to have used.
func (l *liveParts) attach(to *stream, resumed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream = to
	if resumed {
		l.accepted = max(l.base, min(l.covered, l.end()))
		l.saidAccepted, l.saidWanted, l.wanted = l.accepted, 0, 0
	}
	l.sent = l.accepted
	to.follow(l)
}

// next is the next part for a stream; nil for none.
func (l *liveParts) next(to *stream) *pb.SessionStreamRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream != to || l.sent >= l.end() || l.sent < l.base {
		return nil
	}
	part := l.kept[l.sent-l.base]
	message := &pb.LiveInput{Turn: l.turn, Part: l.sent, Inputs: part.tensors, Last: part.last}
	l.sent++
	l.heed()
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Input{Input: message}}
}

// taken: the hoster has used up the parts below `next`, or has those below `wanted` and needs more.
func (l *liveParts) taken(next, wanted int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saidAccepted, l.saidWanted = max(l.saidAccepted, next), max(l.saidWanted, wanted)
	l.heed()
}

func (l *liveParts) appliedAt(part, position int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = append(l.applied, appliedPart{part, position})
	l.saidAccepted = max(l.saidAccepted, part+1)
	l.heed()
}

// checkpointAt: a checkpoint holds everything that was applied before a position.
func (l *liveParts) checkpointAt(position int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied = slices.DeleteFunc(l.applied, func(one appliedPart) bool {
		if one.position >= position {
			return false
		}
		l.covered = max(l.covered, one.part+1)
		return true
	})
	l.drop()
}

// forget: the turn runs and cannot go on elsewhere.
func (l *liveParts) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.covered = math.MaxInt64
	l.drop()
}

// What was said of parts counts once they are sent.
func (l *liveParts) heed() {
	l.accepted = max(l.accepted, min(l.saidAccepted, l.sent))
	l.wanted = max(l.wanted, min(l.saidWanted, l.sent))
	l.drop()
	close(l.changed)
	l.changed = make(chan struct{})
}

// Parts that are not covered are given up rather than bounded memory; parts on their way never.
func (l *liveParts) drop() {
	count := int64(0)
	for ; count < min(l.accepted, l.end())-l.base; count++ {
		if l.base+count >= l.covered && l.keptBytes <= l.mostReplay {
			break
		}
		l.keptBytes -= l.kept[count].bytes
	}
	if count == 0 {
		return
	}
	l.kept = slices.Delete(l.kept, 0, int(count))
	l.base += count
}

// replayable: all parts are here that the newest checkpoint does not cover.
func (l *liveParts) replayable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.base <= l.covered
}

// paused: silence is as it should be, since the hoster waits for input.
func (l *liveParts) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended && l.writers == 0
}

func (l *liveParts) setReading(is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading, l.readAt = is, time.Now()
}

// detach: nothing more is sent. Wakes those who wait.
func (l *liveParts) detach(err *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stream, l.kept, l.applied = nil, nil, nil
	if l.failed == nil {
		l.failed = err
	}
	close(l.changed)
	l.changed = make(chan struct{})
}
