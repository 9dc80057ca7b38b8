package cabstand

import (
	"context"
	"testing"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

func part(bytes int) livePart {
	return livePart{tensors: []*pb.Tensor{{Data: make([]byte, bytes)}}, bytes: bytes}
}

func newFakeStream() *stream { return &stream{wake: make(chan struct{}, 1)} }

func drain(l *liveParts, s *stream) (numbers []int64) {
	for {
		message := l.next(s)
		if message == nil {
			return numbers
		}
		numbers = append(numbers, message.GetInput().GetPart())
	}
}

func TestLivePartsGoAgainToWhoeverTakesOver(t *testing.T) {
	l := newLiveParts(1 << 20)
	for range 5 {
		if err := l.add(context.Background(), part(10), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	first := newFakeStream()
	l.attach(first, true)
	if got := drain(l, first); len(got) != 5 || got[0] != 0 {
		t.Fatal(got)
	}
	l.appliedAt(0, 3)
	l.appliedAt(1, 6)
	l.taken(3, 0)
	// The hoster still has it: what it did not say to have used is sent again.
	second := newFakeStream()
	l.attach(second, false)
	if got := drain(l, second); len(got) != 2 || got[0] != 3 {
		t.Fatal(got)
	}
	if got := drain(l, first); got != nil {
		t.Fatal("a stream that was left gets nothing", got)
	}
	// A checkpoint holds what was applied before it.
	l.checkpointAt(6)
	third := newFakeStream()
	l.attach(third, true)
	if got := drain(l, third); len(got) != 4 || got[0] != 1 || !l.replayable() {
		t.Fatal(got)
	}
}

func TestLivePartsThatWereNotKept(t *testing.T) {
	l := newLiveParts(25)
	s := newFakeStream()
	l.attach(s, true)
	for range 4 {
		if err := l.add(context.Background(), part(10), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	drain(l, s)
	if !l.replayable() {
		t.Fatal("parts on their way are never given up")
	}
	l.taken(4, 0)
	if l.replayable() || l.keptBytes > 25 {
		t.Fatal(l.keptBytes)
	}
}

func TestLivePartsHoldTheSenderBack(t *testing.T) {
	l := newLiveParts(1 << 20)
	s := newFakeStream()
	l.attach(s, true)
	for range mostParts {
		if err := l.add(context.Background(), part(1), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	drain(l, s)
	if err := l.add(context.Background(), part(1), time.Millisecond); err == nil || err.Reason != ReasonLimitExceeded {
		t.Fatal("nobody reads", err)
	}
	l.setReading(true)
	late := make(chan *Error, 1)
	go func() { late <- l.add(context.Background(), part(1), time.Millisecond) }()
	select {
	case err := <-late:
		t.Fatal("who sends waits as long as who reads", err)
	case <-time.After(50 * time.Millisecond):
	}
	l.taken(1, 0)
	if err := <-late; err != nil {
		t.Fatal(err)
	}
	l.setReading(false)
	go func() { late <- l.add(context.Background(), part(1), time.Second) }()
	for range 15 {
		// The application is busy with a chunk most of the time, and still reads.
		l.setReading(true)
		l.setReading(false)
		select {
		case err := <-late:
			t.Fatal("the chunks are read", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := <-late; err == nil || err.Reason != ReasonLimitExceeded {
		t.Fatal("nobody reads any more", err)
	}
	drain(l, s)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.add(ctx, part(1), time.Hour); err == nil || err.Reason != ReasonCancelled {
		t.Fatal(err)
	}
	added := make(chan *Error, 1)
	go func() { added <- l.add(context.Background(), part(1), time.Hour) }()
	// One frame needs many parts: they are not used up, but more are wanted.
	l.taken(0, 2)
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	go func() { added <- l.add(context.Background(), part(1), time.Hour) }()
	l.detach(newError(ReasonCancelled, "over"))
	if err := <-added; err == nil || err.Reason != ReasonCancelled {
		t.Fatal(err)
	}
}
