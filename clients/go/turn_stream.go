package cabstand

import (
	"context"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// begin gets the turn a stream.
func (t *Turn) begin(ctx context.Context) *Error {
	s := t.s
	t.number, t.start = s.turn, s.guard.next
	if t.live != nil {
		t.live.turn = t.number
	}
	switch s.state {
	case idle:
		t.phase = opening
		t.placeUntil = deadline(s.options.timeouts.Place)
		return t.openSomewhere(ctx)
	case open:
		t.phase = again
		t.use(s.stream)
		t.sendTo(s.stream, true)
		s.moving.turnBegan(s)
		return nil
	case broken:
		t.phase = streaming
		return t.recover(ctx, newError(ReasonNodeUnreachable, "the session has no stream"), true)
	}
	return s.failed
}

func deadline(d time.Duration) time.Time {
	if d == forever {
		return time.Now().Add(100 * 365 * 24 * time.Hour)
	}
	return time.Now().Add(d)
}

// use: the turn is read from this stream from now on.
func (t *Turn) use(on *stream) {
	t.group, t.opened, t.fresh = nil, false, true
	t.s.mu.Lock()
	t.s.stream = on
	t.s.mu.Unlock()
}

func (t *Turn) message() *pb.SessionStreamRequest {
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Turn{Turn: &pb.Turn{
		Turn: t.number, Input: t.input, Live: t.live != nil,
	}}}
}

// sendTo gives a hoster the turn and its live input.
func (t *Turn) sendTo(on *stream, resumed bool) {
	on.send(t.message())
	if t.live != nil {
		t.live.attach(on, resumed)
	}
}

// openSomewhere finds a hoster and opens the session there.
func (t *Turn) openSomewhere(ctx context.Context) *Error {
	s := t.s
	client := s.client
	for {
		if !time.Now().Before(t.placeUntil) {
			return t.outOfTime()
		}
		if len(t.candidates) == 0 {
			brief, cancel := context.WithDeadline(ctx, t.placeUntil)
			found, err := client.routers.places(brief, placeRequest{model: s.model, digest: s.options.digest, sessionID: s.durableID()})
			cancel()
			if ctx.Err() != nil {
				return ended(ctx)
			}
			if err != nil {
				// What a hoster said explains more than that there is no other one.
				if t.told == nil || err.Reason != ReasonNoNode {
					t.told = err
				}
				if err := t.pause(ctx, err, placing); err != nil {
					return err
				}
				continue
			}
			t.candidates = found
		}
		t.place, t.candidates = t.candidates[0], t.candidates[1:]
		on, event, err := establish(ctx, client.conns, t.place.node, s.ctx, min(s.options.timeouts.First, time.Until(t.placeUntil)),
			[]*pb.SessionStreamRequest{t.openMessage(), t.message()}, func(on *stream) {
				t.use(on)
				if t.live != nil {
					t.live.attach(on, true)
				}
			})
		if err == nil {
			t.use(on)
			err = t.handle(event)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ended(ctx)
		}
		if err := t.openingFailed(ctx, err); err != nil {
			return err
		}
	}
}

func (t *Turn) outOfTime() *Error {
	if t.told != nil {
		return t.told
	}
	return stalled("no hoster", t.s.options.timeouts.Place)
}

func (s *Session) durableID() string {
	if s.options.durable {
		return s.id
	}
	return ""
}

func (t *Turn) openMessage() *pb.SessionStreamRequest {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	// A name of its own for each attempt: the one before may still be open where it failed.
	if s.options.id == "" && s.attempts > 0 {
		s.id = nthID(s.owner, s.attempts)
	}
	s.attempts++
	s.digest = ""
	s.kept.openedAnew()
	request := &pb.Open{Durable: s.options.durable, Model: s.model, Ticket: t.place.ticket, Priority: s.options.priority, Resumes: s.options.durable}
	if s.options.durable || s.options.id != "" {
		request.SessionId, request.Epoch = s.id, s.currentEpoch()
	}
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Open{Open: request}}
}

// openingFailed settles what a hoster failed with before the first record; the error is final.
func (t *Turn) openingFailed(ctx context.Context, err *Error) *Error {
	routers := t.s.client.routers
	if t.s.stream != nil {
		t.s.stream.cancel(err)
	}
	// A turn was refused, not its session: one that is durable would wait there for its consumer.
	if t.opened && t.s.options.durable && err.Class != ClassNode {
		t.s.closeAt(t.place.node)
	}
	switch {
	case err.Class == ClassNode:
		routers.failed(t.place.node, t.place.lease, err)
	case err.Class == ClassOverload || err.Class == ClassSession || err.Reason == ReasonModelUnknown:
		routers.refused(t.place.node, err)
	}
	t.told = err
	at := opening
	if t.live != nil && !t.live.replayable() {
		at = streaming
	}
	return t.pause(ctx, err, at)
}

// pause waits before another attempt; an error where there is none.
func (t *Turn) pause(ctx context.Context, err *Error, at phase) *Error {
	client := t.s.client
	t.attempts++
	durable := t.s.options.durable && at == again
	if decide(err, at, t.attempts, client.config.Backoff.Attempts, durable).action == actThrow || !client.budget.take() {
		// What the last hoster said explains more than that there is no other one.
		if err.Reason == ReasonNoNode && t.told != nil {
			return t.told
		}
		return err
	}
	wait := time.Duration(0)
	if len(t.candidates) == 0 {
		wait = max(client.config.Backoff.pause(t.attempts-1), err.RetryAfter)
	}
	client.config.Logger.Debug("cabstand: another attempt", "reason", err.Reason, "message", err.Message, "wait", wait)
	if wait > time.Until(t.placeUntil) && t.phase == opening {
		return t.outOfTime()
	}
	if sleep(ctx, wait) != nil {
		return ended(ctx)
	}
	return nil
}

// mend finds the turn another stream where one broke; the error is final.
func (t *Turn) mend(ctx context.Context, err *Error) *Error {
	s := t.s
	s.commands.broke()
	switch t.phase {
	case opening:
		if err := t.openingFailed(ctx, err); err != nil {
			return err
		}
		return t.openSomewhere(ctx)
	case again:
		if !s.options.durable {
			return err
		}
		decision := decide(err, again, 0, 1, true)
		switch decision.action {
		case actThrow:
			return err
		case actWait:
			if err := t.pause(ctx, err, again); err != nil {
				return err
			}
			return t.recover(ctx, err, true)
		}
		return t.recover(ctx, err, decision.attach)
	}
	decision := decide(err, streaming, 0, 0, s.options.durable)
	if decision.action != actResume {
		return err
	}
	return t.recover(ctx, err, decision.attach)
}
