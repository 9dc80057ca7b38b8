package cabstand

import (
	"context"
	"math/rand/v2"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// breakage is from when a stream broke until a record shows that it goes on.
type breakage struct {
	cause *Error
	from  node
	since time.Time
	// Streams that took the session up and broke without a record.
	inRow int
	// Hosters that were asked to resume.
	asked        int
	engineDeaths int
	takenUpAt    time.Time
}

// A stream that was taken up and then lasted so long was whole, record or none.
const lasted = time.Second

func (b *breakage) mended(s *Session, position int64) {
	s.breakage = nil
	gap := time.Since(b.since)
	s.client.config.Logger.Info("cabstand: the session goes on", "session", s.id, "model", s.model,
		"cause", b.cause.Reason, "from", b.from.address, "to", s.home.address, "position", position, "gap", gap)
	if told := s.options.onRecovered; told != nil {
		told(Recovery{b.cause, b.from.address, s.home.address, position, gap})
	}
}

// recover finds a stream that goes on at the next position: at the hoster that has the session, or elsewhere. The
// error is final.
func (t *Turn) recover(ctx context.Context, cause *Error, attach bool) *Error {
	s := t.s
	t.phase = streaming
	if s.stream != nil {
		s.stream.cancel(cause)
	}
	successor := s.moving.take()
	if err := t.breakBegins(cause); err != nil {
		return err
	}
	s.setState(broken)
	b := s.breakage
	limit := s.options.timeouts.Recover
	brief, cancel := context.WithDeadlineCause(ctx, deadline(limit-min(limit, time.Since(b.since))), stalled("going on elsewhere", limit))
	defer cancel()
	on := &search{t: t, ctx: brief, b: b, last: cause}
	if limit == forever {
		on.ctx = ctx
	}
	done, err := false, (*Error)(nil)
	if successor != nil {
		done, err = on.resumeAt(*successor)
	}
	if !done && err == nil {
		err = on.run(attach)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ended(ctx)
	case brief.Err() != nil:
		// Out of time: what was in the way says more than that.
		return on.last
	}
	return err
}

func (t *Turn) breakBegins(cause *Error) *Error {
	s := t.s
	b := s.breakage
	// Credentials end now and then while a turn waits for input of its caller.
	if b != nil && trustEnded(cause) && !b.takenUpAt.IsZero() && time.Since(b.takenUpAt) >= lasted {
		b.mended(s, s.guard.next)
		b = nil
	}
	if b == nil {
		b = &breakage{cause: cause, from: s.home, since: time.Now()}
		s.breakage = b
		s.client.config.Logger.Info("cabstand: a stream broke", "session", s.id, "model", s.model,
			"reason", cause.Reason, "message", cause.Message, "hoster", s.home.address, "position", s.guard.next)
	} else {
		b.inRow++
	}
	if cause.Reason == ReasonEngineCrashed || cause.Reason == ReasonEngineStalled {
		if b.engineDeaths++; b.engineDeaths >= 2 {
			return newError(ReasonTurnPoisoned, "two engines died at position %d: %s", s.guard.next, cause.Message).because(cause)
		}
	}
	return nil
}

// One search for a stream on which a turn goes on.
type search struct {
	t   *Turn
	ctx context.Context
	b   *breakage
	// What stood in the way last.
	last *Error
}

func (on *search) run(attach bool) *Error {
	s := on.t.s
	routers := s.client.routers
	home := s.home
	blamed, vacant := false, false
	alone := on.b.inRow == 0 || commandsWait(on.last)
	for cycle := 0; ; cycle++ {
		if err := on.pause(cycle + on.b.inRow); err != nil {
			return err
		}
		// Side by side: whichever way it goes, the next step needs no more waiting.
		type answer struct {
			places []place
			err    *Error
		}
		finding := make(chan answer, 1)
		request := placeRequest{model: s.model, digest: s.digest, sessionID: s.id, resume: true, avoid: []node{home}}
		if s.options.digest != "" {
			request.digest = s.options.digest
		}
		go func() {
			places, err := routers.places(on.ctx, request)
			finding <- answer{places, err}
		}()
		if attach && alone {
			attached, err := on.reattach(home)
			if attached {
				return nil
			}
			if !goneAtHoster(err) && isFinal(err) {
				return err
			}
			vacant = goneAtHoster(err)
			attach = !vacant
			if !vacant {
				on.last = err
			}
		}
		if !blamed && on.b.cause.Class == ClassNode {
			routers.failed(home, "", on.b.cause)
		}
		blamed = true
		if s.survival == pb.Survival_SURVIVAL_NONE {
			return newError(ReasonSessionLost,
				"the session's hoster or engine is lost, and its model keeps nothing of a session (survival: none): %s", on.last.Message).
				with("problem", "no_survival").because(on.last)
		}
		found := <-finding
		if on.ctx.Err() != nil {
			return ended(on.ctx)
		}
		if found.err != nil {
			if isFinal(found.err) {
				return found.err
			}
			s.client.config.Logger.Debug("cabstand: no hoster to go on with the session", "session", s.id,
				"reason", found.err.Reason, "message", found.err.Message)
			switch {
			case found.err.Reason != ReasonNoNode:
				// That there is no other hoster says less than why this one is lost.
				on.last = found.err
			case found.err.Metadata["cause"] == "digest" && on.last.Reason == ReasonSessionLost:
				return on.last
			}
		}
		alone = true
		for _, place := range found.places {
			alone = alone && place.address == home.address
		}
		list := found.places
		if vacant && alone {
			list = append([]place{{node: home}}, list...)
		}
		for _, place := range list {
			if done, err := on.resumeAt(place); done || err != nil {
				return err
			}
		}
	}
}

// pause waits before all but the first attempt, and before that where the hoster is well and wants it. It never gives
// up for want of budget.
func (on *search) pause(failures int) *Error {
	if on.ctx.Err() != nil {
		return ended(on.ctx)
	}
	if failures == 0 && !commandsWait(on.last) {
		return nil
	}
	client := on.t.s.client
	wait := client.config.Backoff.pause(max(0, failures-1))
	if !client.budget.take() {
		// The pace of everybody else whose hosters are gone: slow.
		wait = time.Duration(float64(client.config.Backoff.Max) * (0.5 + rand.Float64()/2))
	}
	if on.last.Class == ClassOverload {
		wait = max(wait, on.last.RetryAfter)
	}
	if err := sleep(on.ctx, max(wait, time.Millisecond)); err != nil {
		return FromError(err)
	}
	return nil
}

// As the position to go on from: whatever is the oldest record that is kept.
const oldest = -1

// attachAt takes the session up where it was.
func (on *search) attachAt(home node) (bool, *Error) {
	t, s := on.t, on.t.s
	// Another hoster may have taken it up and was not heard: what it has must not look like the newest.
	resumed := on.b.asked > 0
	if resumed {
		s.raiseEpoch()
	}
	from := s.guard.next
	if s.joins {
		from = oldest
	}
	first := []*pb.SessionStreamRequest{{Message: &pb.SessionStreamRequest_Attach{Attach: &pb.Attach{
		SessionId: s.id, Epoch: s.currentEpoch(), FromPosition: from, ServedEpoch: s.served,
		Resumes: true,
	}}}}
	// It may not have come to the turn; neither may a resume that was given up, and that arrived.
	if (!t.taken || resumed) && t.input != nil {
		first = append(first, t.message())
	}
	stream, event, err := establish(on.ctx, s.client.conns, home, s.ctx, s.options.timeouts.Reattach, first, nil)
	if err == nil {
		err = on.takenUp(stream, event)
	}
	if err == nil && t.live != nil {
		t.live.attach(stream, resumed)
	}
	return err == nil, err
}

// resumeAt makes another hoster go on. False where it failed or refused, which is `last` then; the error is what
// another one would say, too.
func (on *search) resumeAt(at place) (bool, *Error) {
	t, s := on.t, on.t.s
	routers := s.client.routers
	replayable := t.live == nil || t.left || t.live.replayable()
	resume, lost := s.kept.resume(t.number, s.guard.next-1, replayable && t.input != nil)
	if lost != nil {
		return false, lost
	}
	resume.ServedEpoch = s.served
	on.b.asked++
	first := []*pb.SessionStreamRequest{
		{Message: &pb.SessionStreamRequest_Open{Open: &pb.Open{
			SessionId: s.id, Epoch: s.raiseEpoch(), Durable: true, Model: s.model, Priority: s.options.priority,
			Ticket: at.ticket, Resume: resume, Resumes: true,
		}}},
		t.message(),
	}
	stream, event, err := establish(on.ctx, s.client.conns, at.node, s.ctx, s.options.timeouts.First, first,
		func(stream *stream) {
			if t.live != nil {
				t.live.attach(stream, true)
			}
		})
	if err == nil {
		routers.served(at.node)
		err = on.takenUp(stream, event)
	}
	if err == nil {
		return true, nil
	}
	if on.ctx.Err() != nil {
		return false, ended(on.ctx)
	}
	if s.claimsAfter(err) {
		return false, nil
	}
	s.client.config.Logger.Info("cabstand: a hoster did not go on with the session", "session", s.id,
		"hoster", at.address, "reason", err.Reason, "message", err.Message)
	switch {
	case err.Class == ClassNode:
		routers.failed(at.node, at.lease, err)
	case isFinal(err):
		return false, err
	default:
		routers.refused(at.node, err)
	}
	on.last = err
	return false, nil
}

// takenUp: a hoster goes on with the session.
func (on *search) takenUp(stream *stream, event *pb.SessionStreamResponse) *Error {
	t, s := on.t, on.t.s
	t.use(stream)
	if err := t.handle(event); err != nil {
		stream.cancel(err)
		return err
	}
	if s.breakage != nil {
		s.breakage.takenUpAt = time.Now()
	}
	s.taken(stream)
	s.claims = false
	if t.left {
		stream.send(t.cancelTurn())
	}
	return nil
}

// establish opens a stream and waits for its first word; once more with fresh credentials where they are refused.
// The stream lives as long as `life`.
func establish(
	ctx context.Context, conns *connections, at node, life context.Context, limit time.Duration,
	first []*pb.SessionStreamRequest, begun func(*stream),
) (*stream, *pb.SessionStreamResponse, *Error) {
	for again := false; ; again = true {
		on := openStream(life, conns, at, append([]*pb.SessionStreamRequest(nil), first...)...)
		if begun != nil {
			begun(on)
		}
		event, err := on.established(ctx, limit)
		if err == nil {
			return on, event, nil
		}
		if again || !conns.refused(at.address, err) {
			return nil, nil, err
		}
	}
}
