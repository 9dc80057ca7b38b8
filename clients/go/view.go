package cabstand

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// ViewOptions say how a session is watched. The functions are called by the goroutine that reads the chunks, in
// order with them.
type ViewOptions struct {
	// Model is needed where routers do not know the session: then all hosters with the model are asked.
	Model string
	// Timeouts: Recover is how long a session is looked for whose hoster was lost.
	Timeouts Timeouts
	// OnMessage is told each message of a module.
	OnMessage func(Message)
	// OnNotice is told what a module lets go without a record.
	OnNotice func(Message)
	// OnSkipped is told how many records were left out before the next chunk.
	OnSkipped func(records int64)
}

// View is a session that somebody else of the same principal uses, watched. What it is too slow for is left out, and
// nothing of the session waits for it. It goes along when the session moves, and ends with it.
type View struct {
	client  *Client
	id      string
	model   string
	options ViewOptions
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu      sync.Mutex
	reading bool
	node    node
	end     *ViewEnd

	// Of whoever reads.
	stream *stream
	// Nothing has come on this stream.
	fresh, renewed bool
	// It has gone along, and no record has come since.
	moved    bool
	isModule bool
	// Position of the next record that has not been here.
	next int64
	// The highest that is known of the session.
	epoch  int64
	chunks int
}

// ViewEnd is how a session ended that was watched.
type ViewEnd struct {
	Reason EndReason
	// Err is the error it ended with; nil for an orderly end.
	Err *Error
}

// How long to wait before a session is looked for again.
const findAgain = 250 * time.Millisecond

// View watches a session, from its newest key record, or its newest record where it marks none. Up to 16 processes
// may. Errors: SESSION_UNKNOWN where no hoster has it, SESSION_ENDED.
func (c *Client) View(ctx context.Context, id string, options ViewOptions) (*View, error) {
	if !sessionID.MatchString(id) {
		return nil, invalid("id", id, "1 to 64 of A-Z a-z 0-9 . _ -")
	}
	options.Timeouts = options.Timeouts.withDefaults(c.config.Timeouts)
	at, status, err := c.find(ctx, id, options.Model, options.Timeouts)
	if err != nil {
		return nil, err
	}
	v := &View{client: c, id: id, model: status.GetModel(), options: options, node: at, epoch: status.GetEpoch()}
	v.ctx, v.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := c.addView(v); err != nil {
		return nil, err
	}
	return v, nil
}

// ID is the name of the session.
func (v *View) ID() string { return v.id }

// Model is that of the session.
func (v *View) Model() string { return v.model }

// Node is the address of the hoster that has the session.
func (v *View) Node() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.node.address
}

// End is how the session ended; nil before that.
func (v *View) End() *ViewEnd {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.end
}

// Close watches no more: a loop over the chunks ends. It may be called more than once.
func (v *View) Close() error {
	v.client.removeView(v)
	v.cancel(newError(ReasonCancelled, "the view was closed"))
	return nil
}

// Chunks gives the chunks as they come; their Index counts those of the view. The loop ends with the session, which
// [View.End] tells of, and with Close. An error is the last thing it gives. It may be left and entered again, by
// one goroutine at a time.
func (v *View) Chunks(ctx context.Context) iter.Seq2[*Chunk, error] {
	return func(yield func(*Chunk, error) bool) {
		v.mu.Lock()
		busy := v.reading
		v.reading = true
		v.mu.Unlock()
		if busy {
			yield(nil, newError(ReasonSessionBusy, "the view is being read by somebody else"))
			return
		}
		defer func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.reading = false
		}()
		if err := v.read(ctx, yield); err != nil {
			_ = v.Close()
			yield(nil, err)
		}
	}
}

func (v *View) read(ctx context.Context, yield func(*Chunk, error) bool) *Error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(v.ctx, func() { cancel(context.Cause(v.ctx)) })
	defer stop()
	for v.ctx.Err() == nil {
		event, err := v.event(ctx)
		var chunk *Chunk
		if err == nil {
			chunk, err = v.take(event)
		}
		switch {
		case v.ctx.Err() != nil:
			return nil
		case err != nil && ctx.Err() != nil:
			return ended(ctx)
		case err != nil:
			if err := v.goOn(ctx, err); err != nil && v.ctx.Err() == nil {
				return err
			}
		case chunk != nil && !yield(chunk, nil):
			return nil
		}
	}
	return nil
}

// event gives what comes next on the stream, which is opened where there is none.
func (v *View) event(ctx context.Context) (*pb.SessionStreamResponse, *Error) {
	if v.stream == nil {
		v.fresh = true
		v.stream = openStream(v.ctx, v.client.conns, v.node, &pb.SessionStreamRequest{
			Message: &pb.SessionStreamRequest_Attach{
				Attach: &pb.Attach{SessionId: v.id, Role: pb.AttachRole_ATTACH_ROLE_VIEWER},
			},
		})
	}
	// A session may be silent for long; whether its hoster is there pings find out.
	limit := forever
	if v.fresh {
		limit = v.options.Timeouts.First
	}
	event, err := v.stream.await(ctx, limit, "no answer to who wants to watch", nil)
	if err == nil {
		v.fresh, v.renewed = false, false
	}
	return event, err
}

// take gives the chunk of an event; nil where it has none. An error means that the stream is of no use any more.
func (v *View) take(event *pb.SessionStreamResponse) (*Chunk, *Error) {
	switch event := event.GetEvent().(type) {
	case *pb.SessionStreamResponse_Record:
		return v.record(event.Record), nil
	case *pb.SessionStreamResponse_Notice:
		v.notice(event.Notice)
	case *pb.SessionStreamResponse_Closed:
		reason, err := event.Closed.GetReason(), fromDetail(event.Closed.GetError())
		if mayGoOn(reason) {
			return nil, v.ended(reason, err)
		}
		_ = v.ended(reason, err)
		_ = v.Close()
	}
	return nil, nil
}

func (v *View) record(record *pb.Record) *Chunk {
	position := record.GetPosition()
	if position < v.next {
		return nil
	}
	// What came while it looked for the session, nobody says.
	if v.moved && position > v.next {
		v.skipped(position - v.next)
	}
	v.moved, v.next, v.epoch = false, position+1, max(v.epoch, record.GetEpoch())
	switch body := record.GetBody().(type) {
	case *pb.Record_Chunk:
		v.chunks++
		return chunkOf(record, body.Chunk, v.chunks-1)
	case *pb.Record_Message:
		if told := v.options.OnMessage; told != nil {
			told(Message{body.Message.GetName(), json.RawMessage(body.Message.GetJson()), position})
		}
	case *pb.Record_EndOfTurn:
		// A module has one turn; its hoster may keep the session for who has not read that.
		if v.isModule && !body.EndOfTurn.GetGoesOn() && !isGone(body.EndOfTurn) {
			_ = v.ended(body.EndOfTurn.GetReason(), fromDetail(body.EndOfTurn.GetError()))
			_ = v.Close()
		}
	}
	return nil
}

func (v *View) notice(notice *pb.Notice) {
	switch what := notice.GetWhat().(type) {
	case *pb.Notice_Opened:
		v.isModule = what.Opened.GetSurvival() != pb.Survival_SURVIVAL_UNSPECIFIED
	case *pb.Notice_Skipped:
		v.skipped(what.Skipped.GetRecords())
	case *pb.Notice_Module:
		if told := v.options.OnNotice; told != nil {
			told(Message{what.Module.GetName(), json.RawMessage(what.Module.GetJson()), -1})
		}
	}
}

func (v *View) skipped(records int64) {
	if told := v.options.OnSkipped; told != nil {
		told(records)
	}
}

// ended: the session has ended at its hoster. Gives that as an error.
func (v *View) ended(reason EndReason, err *Error) *Error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end = &ViewEnd{reason, err}
	return closedError(reason, err)
}

// mayGoOn: a session that ended so at one hoster may go on at another one.
func mayGoOn(reason EndReason) bool {
	switch reason {
	case pb.EndReason_END_REASON_MIGRATED, pb.EndReason_END_REASON_EVICTED, pb.EndReason_END_REASON_LOST:
		return true
	}
	return false
}

// goOn: the stream is of no use any more. Looks for the session; nil where the view goes on, by another stream or
// to its end.
func (v *View) goOn(ctx context.Context, cause *Error) *Error {
	v.stream.cancel(cause)
	v.stream = nil
	if cause.Class == ClassAuth && !trustEnded(cause) {
		// Refused: other credentials may do, once.
		if v.renewed || !v.client.conns.refused(v.node.address, cause) {
			return cause
		}
		v.renewed = true
		return nil
	}
	known := v.End() != nil
	if !known && cause.Class != ClassNode && !goneAtHoster(cause) && !trustEnded(cause) {
		return cause
	}
	for until := deadline(v.options.Timeouts.Recover); ; {
		if err := sleep(ctx, findAgain); err != nil {
			return FromError(err)
		}
		at, status, err := v.client.find(ctx, v.id, v.model, v.options.Timeouts)
		if err == nil {
			v.mu.Lock()
			v.node, v.end = at, nil
			v.mu.Unlock()
			if v.isAnother(status) {
				v.next, v.epoch = 0, status.GetEpoch()
			}
			v.moved = v.next > 0
			return nil
		}
		if time.Now().After(until) {
			if known {
				// Nobody went on with it: that was its end.
				_ = v.Close()
				return nil
			}
			return cause
		}
	}
}

// isAnother: the session was begun anew under its name, and counts its positions anew. Whoever goes on with one
// elsewhere raises its epoch, and under one epoch positions only grow. A copy that was left behind, with nobody who
// reads it, has a lower epoch, too.
func (v *View) isAnother(status *pb.SessionStatusResponse) bool {
	if status.GetEpoch() < v.epoch {
		return status.GetState() != pb.SessionState_SESSION_STATE_ORPHANED
	}
	return status.GetEpoch() == v.epoch && status.GetPosition() < v.next
}
