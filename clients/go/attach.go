package cabstand

import (
	"context"
	"strconv"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Attach takes over a session of which only the name is known, from whoever of the same principal uses it: that one is
// told EPOCH_FENCED. [Session.Rest] gives the rest of a turn that runs, from the oldest record that nobody has
// acknowledged; a turn that is begun instead goes on in the session. `model` is needed where routers do not know the
// session: then all hosters with the model are asked. WithID, WithDurable, WithDigest and WithPriority are not heeded.
// Errors: SESSION_UNKNOWN where no hoster has it, SESSION_ENDED.
func (c *Client) Attach(ctx context.Context, id, model string, options ...SessionOption) (*Session, error) {
	if !sessionID.MatchString(id) {
		return nil, invalid("id", id, "1 to 64 of A-Z a-z 0-9 . _ -")
	}
	var chosen sessionOptions
	for _, option := range options {
		option(&chosen)
	}
	at, status, bad := c.find(ctx, id, model, chosen.timeouts.withDefaults(c.config.Timeouts))
	if bad != nil {
		return nil, bad
	}
	options = append(options[:len(options):len(options)], WithID(id), WithDurable(true), WithDigest(""), WithPriority(0))
	s, err := c.Session(ctx, status.GetModel(), options...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first := status.GetAcknowledgedPosition() + 1
	s.pending = status.GetTurn() >= 0 && (status.GetTurnRuns() || first < status.GetPosition())
	s.turn = status.GetTurn()
	if !s.pending {
		s.turn++
	}
	if s.turn > 0 {
		// The input of turns before, nobody told this process.
		s.kept.missed(first)
	}
	s.guard.next, s.home, s.state = first, at, broken
	s.claims, s.joins = true, true
	s.claimAbove(status.GetEpoch())
	return s, nil
}

// Rest gives the rest of the turn that runs in a session that was attached to. Only the hoster that has the session can
// go on with it, as its input is not here. Errors: TURN_OUT_OF_ORDER where none runs.
func (s *Session) Rest(ctx context.Context) (*Turn, error) {
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	if !pending {
		return nil, newError(ReasonTurnOutOfOrder, "Rest: no turn was under way when the session was attached to")
	}
	turn, err := s.begin(ctx, Input{}, false)
	if err != nil {
		return nil, err
	}
	turn.input = nil
	return turn, nil
}

// claimAbove: whoever has the session under that epoch is to lose it.
func (s *Session) claimAbove(epoch int64) {
	s.highest = max(s.highest, epoch) + 1
	s.epoch = s.highest
}

// claimsAfter takes the session over where a hoster fenced this process off for the one that had it before.
func (s *Session) claimsAfter(err *Error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, bad := strconv.ParseInt(err.Metadata["current_epoch"], 10, 64)
	if err.Reason != ReasonEpochFenced || !s.claims || bad != nil || current < s.highest {
		return false
	}
	s.claimAbove(current)
	return true
}

// joined: a hoster says where the session is that this process takes over. Answers whether it just has been.
func (t *Turn) joined(opened *pb.Opened) bool {
	s := t.s
	if !s.joins {
		return false
	}
	s.joins = false
	position := opened.GetPosition()
	s.guard.next, t.start = position, position
	if opened.GetSurvival() == pb.Survival_SURVIVAL_REPLAY && position > 0 {
		s.kept.missed(position)
	}
	return true
}

// reattach takes the session up where it was, or where routers say that it is.
func (on *search) reattach(home node) (bool, *Error) {
	s := on.t.s
	attached, err := on.claimAt(home)
	// Only another process can have left it anywhere else.
	if attached || !s.claims {
		return attached, err
	}
	nodes, bad := s.client.routers.locate(on.ctx, s.id)
	if bad != nil {
		return false, err
	}
	for _, one := range nodes {
		if one == home {
			continue
		}
		if found, _ := on.claimAt(one); found {
			return true, nil
		}
	}
	return false, err
}

func (on *search) claimAt(at node) (bool, *Error) {
	for {
		attached, err := on.attachAt(at)
		if attached || !on.t.s.claimsAfter(err) {
			return attached, err
		}
	}
}
