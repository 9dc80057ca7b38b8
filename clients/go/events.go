package cabstand

import (
	"fmt"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

func nthID(owner []byte, n int) string { return fmt.Sprintf("go-%x.%d", owner, n) }

// handle takes one event of the stream. An error means that the stream is of no use any more.
func (t *Turn) handle(event *pb.SessionStreamResponse) *Error {
	switch event := event.GetEvent().(type) {
	case *pb.SessionStreamResponse_Record:
		return t.record(event.Record)
	case *pb.SessionStreamResponse_Notice:
		t.opened = true
		return t.notice(event.Notice)
	case *pb.SessionStreamResponse_Closed:
		return closedError(event.Closed.GetReason(), fromDetail(event.Closed.GetError()))
	}
	// Something that only a newer client knows.
	return nil
}

func (t *Turn) record(record *pb.Record) *Error {
	if err := t.checkGone(record); err != nil {
		return err
	}
	t.group = append(t.group, record)
	if record.GetMore() {
		if len(t.group) < mostGroup {
			return nil
		}
		return newError(ReasonNodeBadReply, "the hoster sent %d records that belong together, and no last one", mostGroup)
	}
	whole := t.group
	t.group = nil
	s := t.s
	fresh, err := s.guard.acceptAll(whole, t.number, s.epoch)
	if err != nil || len(fresh) == 0 {
		return err
	}
	for _, one := range fresh {
		t.arrived(one)
	}
	t.ready = append(t.ready, fresh...)
	t.fresh, t.taken = false, true
	t.settled(fresh[0].GetPosition())
	return nil
}

// arrived: a record counts.
func (t *Turn) arrived(record *pb.Record) {
	s := t.s
	s.kept.arrived(record, s.survival)
	switch body := record.GetBody().(type) {
	case *pb.Record_Input:
		if t.live != nil {
			t.live.appliedAt(body.Input.GetPart(), record.GetPosition())
		}
	case *pb.Record_Applied:
		s.commands.tookEffect(body.Applied.GetSequence())
	case *pb.Record_Result:
		s.commands.result(body.Result)
	}
	if s.kept.offer(record.GetCheckpoint(), s.guard.next) && t.live != nil {
		t.live.checkpointAt(record.GetCheckpoint().GetPosition())
	}
}

// settled: a fresh record is here, so what was broken is whole.
func (t *Turn) settled(position int64) {
	s := t.s
	if t.phase != streaming {
		if t.phase == opening {
			s.client.routers.served(t.place.node)
			s.taken(s.stream)
		}
		s.client.budget.succeeded()
		t.phase = streaming
		if t.live != nil && !s.options.durable {
			t.live.forget()
		}
	}
	if s.breakage != nil {
		s.breakage.mended(s, position)
	}
	s.moving.recordArrived()
}

// checkGone: a session that went with its turn. That end is not the turn's, which goes on elsewhere.
func (t *Turn) checkGone(record *pb.Record) *Error {
	end := record.GetEndOfTurn()
	if end == nil || !isGone(end) {
		return nil
	}
	err := fromDetail(end.GetError())
	durable := t.s.options.durable
	switch {
	case durable && t.start > 0 && err != nil && err.Class == ClassOverload:
		// Waiting for room does not bring back a session that ended for want of it.
		return newError(ReasonSessionEvicted, "%s", err.Message).because(err)
	case !t.taken && err != nil:
		return err
	case durable:
		return closedError(end.GetReason(), err)
	}
	return nil
}

func (t *Turn) notice(notice *pb.Notice) *Error {
	s := t.s
	switch what := notice.GetWhat().(type) {
	case *pb.Notice_Opened:
		return t.openedBy(what.Opened)
	case *pb.Notice_Draining:
		deadline := 30 * time.Second
		if given := what.Draining.GetDeadline().AsDuration(); given > 0 {
			deadline = given
		}
		if s.options.durable && s.survival != pb.Survival_SURVIVAL_NONE {
			s.moving.begin(s, deadline)
		}
	case *pb.Notice_AckWanted:
		if s.breakage == nil {
			s.stream.send(s.acker.ack())
		}
	case *pb.Notice_Accepted:
		if t.live != nil && what.Accepted.GetTurn() == t.number {
			t.live.taken(what.Accepted.GetNextPart(), what.Accepted.GetWantedPart())
		}
	case *pb.Notice_Checkpoint:
		checkpoint := what.Checkpoint.GetCheckpoint()
		if s.options.durable && s.kept.offer(checkpoint, s.guard.next) && t.live != nil {
			t.live.checkpointAt(checkpoint.GetPosition())
		}
	case *pb.Notice_Module:
		if told := s.options.onNotice; told != nil {
			told(Message{what.Module.GetName(), []byte(what.Module.GetJson()), -1})
		}
	}
	return nil
}

func (t *Turn) openedBy(opened *pb.Opened) *Error {
	s := t.s
	guessed := t.joined(opened)
	if s.digest != "" && opened.GetDigest() != s.digest && s.guard.next > 0 {
		return newError(ReasonSessionLost, "the hoster has other weights of the model than the session began with").
			with("problem", "other_weights", "digest", opened.GetDigest(), "expected", s.digest)
	}
	s.digest = opened.GetDigest()
	s.survival = opened.GetSurvival()
	s.acker.opened(opened, s.options.durable)
	if s.survival == pb.Survival_SURVIVAL_UNSPECIFIED {
		s.commands.fail(newError(ReasonCommandUnknown, "model %s takes no commands", s.model))
	} else {
		s.commands.opened(s.stream, opened.GetNextCommandSequence(), guessed)
	}
	return nil
}

// end: the turn is over. The error is the one it ended in.
func (t *Turn) end(record *pb.Record) *Error {
	s := t.s
	end := record.GetEndOfTurn()
	s.turn = t.number + 1
	s.mu.Lock()
	s.pending = false
	s.mu.Unlock()
	if s.options.durable {
		s.kept.ended(t.number, t.start, t.input, t.live != nil, end.GetCheckpoint())
	}
	t.through(record)
	if s.moving.drop() && s.state == open {
		// It was handed over, so the next turn goes on elsewhere.
		s.stream.cancel(newError(ReasonCancelled, "the turn is over"))
		s.setState(broken)
	}
	if s.survival != pb.Survival_SURVIVAL_UNSPECIFIED && !end.GetGoesOn() {
		gone := newError(ReasonSessionEnded, "a module's session ends with its turn").with("end_reason", "completed")
		s.leaveStream(gone)
		s.lose(gone)
	}
	err := endError(end)
	if err != nil && (isGone(end) || err.Class == ClassFatal) {
		s.lose(err)
	}
	if err == nil {
		t.result.Store(&Result{end.GetReason(), end.GetSteps(), t.chunks, end.GetNote(), generationOf(end)})
	}
	return err
}

func (s *Session) setState(to standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = to
}

// endError is the error that a turn ended in; nil for an orderly end.
func endError(end *pb.EndOfTurn) *Error {
	err := fromDetail(end.GetError())
	switch end.GetReason() {
	case pb.EndReason_END_REASON_COMPLETED, pb.EndReason_END_REASON_STOPPED, pb.EndReason_END_REASON_CANCELLED:
		return nil
	case pb.EndReason_END_REASON_TIMED_OUT:
		if err == nil {
			err = newError(ReasonDeadlineExceeded, "the turn ran into the hoster's time limit")
		}
		return err
	}
	return closedError(end.GetReason(), err)
}

// isGone: the session went with its turn.
func isGone(end *pb.EndOfTurn) bool {
	switch end.GetReason() {
	case pb.EndReason_END_REASON_EVICTED, pb.EndReason_END_REASON_MIGRATED, pb.EndReason_END_REASON_LOST:
		return true
	}
	err := fromDetail(end.GetError())
	return err != nil && (err.Class == ClassNode || err.Class == ClassOverload || err.Class == ClassSession)
}

// closedError is why a session that ended at the hoster cannot go on there.
func closedError(reason pb.EndReason, err *Error) *Error {
	if err != nil {
		return err
	}
	switch reason {
	case pb.EndReason_END_REASON_EVICTED:
		return newError(ReasonSessionEvicted, "the hoster needed the room of the session")
	case pb.EndReason_END_REASON_LOST, pb.EndReason_END_REASON_MIGRATED:
		return newError(ReasonSessionLost, "the session is not at its hoster any more (%v)", reason)
	case pb.EndReason_END_REASON_ERROR, pb.EndReason_END_REASON_UNSPECIFIED:
		return newError(ReasonNodeBadReply, "the hoster ended the session with an error and gave none")
	}
	name := map[pb.EndReason]string{
		pb.EndReason_END_REASON_COMPLETED: "completed", pb.EndReason_END_REASON_STOPPED: "stopped",
		pb.EndReason_END_REASON_CANCELLED: "cancelled", pb.EndReason_END_REASON_TIMED_OUT: "timed_out",
	}[reason]
	return newError(ReasonSessionEnded, "the hoster ended the session (%s)", name).with("end_reason", name)
}
