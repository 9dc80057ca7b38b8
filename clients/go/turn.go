package cabstand

import (
	"context"
	"encoding/json"
	"iter"
	"sync/atomic"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Turn is one turn of a session. Read its chunks, or cancel it: until then no other one runs.
type Turn struct {
	s     *Session
	ctx   context.Context
	input *pb.TurnInput
	live  *liveParts

	claimed atomic.Bool
	result  atomic.Pointer[Result]

	number, start int64
	begun         bool
	phase         phase
	ready, group  []*pb.Record
	// Nothing but notices, or not even one, has come since the stream began.
	fresh, opened bool
	// A record of this turn has come.
	taken bool
	// It was left: the hoster is to end it.
	left    bool
	longest time.Duration
	chunks  int

	// While it opens.
	place      place
	candidates []place
	attempts   int
	told       *Error
	placeUntil time.Time
}

// A wait may take this many times as long as the longest one before it.
const stallFactor = 5

// Most records that belong together: more would be a hoster that never comes to an end of them.
const mostGroup = 65_536

func newTurn(ctx context.Context, s *Session, input *pb.TurnInput, live bool) *Turn {
	t := &Turn{s: s, ctx: ctx, input: input}
	if live {
		t.live = newLiveParts(s.options.maxReplay)
	}
	return t
}

// Send sends a part of a live turn's input. It waits for room, so that a hoster that is behind holds the sender
// back. Parts are sent in the order of the calls.
func (t *Turn) Send(ctx context.Context, tensors ...Tensor) error {
	if t.live == nil {
		return newError(ReasonInvalidArgument, "Send: the input of this turn is complete; use Session.Live")
	}
	wire, bad := tensorsToWire(tensors)
	if bad != nil {
		return bad
	}
	part := livePart{tensors: wire, bytes: bytesOf(wire)}
	if err := t.live.add(ctx, part, t.s.options.timeouts.Send); err != nil {
		return err
	}
	return nil
}

// CloseSend says that no more input follows: the turn ends when all of it is used up.
func (t *Turn) CloseSend() error {
	if t.live == nil {
		return newError(ReasonInvalidArgument, "CloseSend: the input of this turn is complete; use Session.Live")
	}
	if err := t.live.add(context.Background(), livePart{last: true}, 0); err != nil {
		return err
	}
	return nil
}

// Result is how the turn ended; nil before its end, and where it failed.
func (t *Turn) Result() *Result { return t.result.Load() }

// Cancel ends a turn whose chunks nobody reads. To end one that is read, leave its loop, or end its context.
func (t *Turn) Cancel() {
	if t.claimed.CompareAndSwap(false, true) {
		t.finish(newError(ReasonCancelled, "the turn was cancelled"))
		t.s.turnDone()
	}
}

// Chunks gives the chunks as they come. An error is the last thing it gives. Read them once.
func (t *Turn) Chunks() iter.Seq2[*Chunk, error] {
	return func(yield func(*Chunk, error) bool) {
		if !t.claimed.CompareAndSwap(false, true) {
			yield(nil, newError(ReasonInvalidArgument, "Chunks: the turn was read or cancelled before"))
			return
		}
		if err := t.read(yield); err != nil {
			yield(nil, err)
		}
	}
}

func (t *Turn) read(yield func(*Chunk, error) bool) (failed error) {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	stop := context.AfterFunc(t.s.ctx, func() { cancel(context.Cause(t.s.ctx)) })
	defer stop()
	over := false
	// Also where the loop's body panics.
	defer func() {
		if !over {
			t.leave()
		}
	}()
	for {
		record, err := t.next(ctx)
		if err != nil {
			// A turn that is cancelled leaves its session as it is.
			if ctx.Err() == nil {
				over = true
				t.refused(err)
				t.finish(err)
				t.s.turnDone()
			}
			return err
		}
		switch body := record.GetBody().(type) {
		case *pb.Record_Chunk:
			chunk := chunkOf(record, body.Chunk, t.chunks)
			t.chunks++
			if !yield(chunk, nil) {
				return nil
			}
		case *pb.Record_Message:
			if told := t.s.options.onMessage; told != nil {
				told(Message{body.Message.GetName(), json.RawMessage(body.Message.GetJson()), record.GetPosition()})
			}
		case *pb.Record_EndOfTurn:
			over = true
			err := t.end(record)
			t.finish(err)
			t.s.turnDone()
			if err != nil {
				return err
			}
			return nil
		}
		t.through(record)
	}
}

// through: the application is through with a record.
func (t *Turn) through(record *pb.Record) {
	s := t.s
	if !s.acker.through(record) || s.state != open || s.breakage != nil {
		return
	}
	s.stream.send(s.acker.ack())
}

func (t *Turn) finish(err *Error) {
	if t.live == nil {
		return
	}
	if err == nil {
		err = newError(ReasonSessionEnded, "the turn is over")
	}
	t.live.detach(err)
}

// leave ends a turn that nobody reads any more. The next one waits until its hoster has.
func (t *Turn) leave() {
	s := t.s
	t.left = true
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	go func() {
		defer s.turnDone()
		t.windUp()
		t.finish(newError(ReasonCancelled, "the turn was left before its end"))
	}()
}

func (t *Turn) windUp() {
	s := t.s
	goodbye := newError(ReasonCancelled, "the turn was left before its end")
	switch {
	case !t.begun:
		return
	case t.phase == opening:
		// It never came to a record: the session is still to be opened.
		if s.stream != nil {
			s.stream.cancel(goodbye)
			if s.options.durable {
				s.closeAt(t.place.node)
			}
		}
		return
	}
	if s.state == open {
		s.stream.send(t.cancelTurn())
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.options.timeouts.Recover, stalled("no end of a cancelled turn", s.options.timeouts.Recover))
	defer cancel()
	for {
		record, err := t.next(ctx)
		if err != nil {
			s.lose(err)
			return
		}
		if record.GetEndOfTurn() != nil {
			_ = t.end(record)
			return
		}
		t.through(record)
	}
}

func (t *Turn) cancelTurn() *pb.SessionStreamRequest {
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_CancelTurn{CancelTurn: &pb.CancelTurn{Turn: t.number}}}
}

// refused: the turn cannot go on; neither can its session, unless the turn was merely refused.
func (t *Turn) refused(err *Error) {
	s := t.s
	refusal := err.Reason != ReasonSessionEnded &&
		(err.Class == ClassCaller || err.Class == ClassOverload || err.Class == ClassAuth)
	switch {
	case s.state == idle:
		if s.stream != nil {
			s.stream.cancel(err)
		}
	case !t.taken && refusal && s.options.durable && s.state != over:
		// Its hoster still has it.
		s.stream.cancel(err)
		s.setState(broken)
	default:
		s.lose(err)
	}
}

// next gives the next record. An error is final, but for that of ctx.
func (t *Turn) next(ctx context.Context) (*pb.Record, *Error) {
	// Also while another hoster is looked for: who sends waits as long as who reads.
	if t.live != nil {
		t.live.setReading(true)
		defer t.live.setReading(false)
	}
	if !t.begun {
		t.begun = true
		if err := t.begin(ctx); err != nil {
			return nil, err
		}
	}
	for {
		if len(t.ready) > 0 {
			record := t.ready[0]
			t.ready = t.ready[1:]
			return record, nil
		}
		event, err := t.await(ctx)
		if err == nil {
			err = t.handle(event)
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		if err = t.mend(ctx, err); err != nil {
			return nil, err
		}
	}
}

func (t *Turn) await(ctx context.Context) (*pb.SessionStreamResponse, *Error) {
	timeouts := t.s.options.timeouts
	limit, what := timeouts.First, "no first record"
	if !t.fresh {
		limit, what = max(timeouts.Stall, t.longest*stallFactor), "no further record"
	}
	if t.phase == opening {
		left := time.Until(t.placeUntil)
		if left <= 0 {
			return nil, stalled("no first record", timeouts.Place)
		}
		limit = min(limit, left)
	}
	paused := func() bool {
		patient := t.s.survival != pb.Survival_SURVIVAL_UNSPECIFIED
		return t.opened && (patient || (t.live != nil && !t.left && t.live.paused()))
	}
	since := time.Now()
	event, err := t.s.stream.await(ctx, limit, what, paused)
	if !t.fresh {
		t.longest = max(t.longest, time.Since(since))
	}
	return event, err
}
