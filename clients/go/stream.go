package cabstand

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// stream is one rpc_session_stream. One goroutine writes: what the session says first, then the parts of live
// input. Another one reads, no further than the session follows.
type stream struct {
	node   node
	ctx    context.Context
	cancel context.CancelCauseFunc
	// Closed at its end; `err` says why from then on.
	events chan *pb.SessionStreamResponse
	err    *Error

	mu   sync.Mutex
	out  []*pb.SessionStreamRequest
	live *liveParts
	wake chan struct{}
}

// Responses that were read and that the session has not come to.
const readAhead = 16

// openStream begins a stream with its first messages. It answers at once: whether the hoster does shows in its
// events.
func openStream(ctx context.Context, conns *connections, at node, first ...*pb.SessionStreamRequest) *stream {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{
		node: at, ctx: ctx, cancel: cancel, out: first,
		events: make(chan *pb.SessionStreamResponse, readAhead), wake: make(chan struct{}, 1),
	}
	go s.run(conns)
	return s
}

func (s *stream) run(conns *connections) {
	err := s.pass(conns)
	s.err = FromError(err)
	// Of this side: its reason says more than that the call was cancelled.
	if cause := context.Cause(s.ctx); cause != nil {
		s.err = FromError(cause)
	}
	close(s.events)
	s.cancel(s.err)
}

// pass reads to the end of the stream and gives why it ended, which is never nil.
func (s *stream) pass(conns *connections) error {
	conn, err := conns.to(s.node.address)
	if err != nil {
		return err
	}
	call, err := pb.NewHosterServiceClient(conn).RpcSessionStream(s.ctx)
	if err != nil {
		return err
	}
	go s.write(call)
	for {
		event, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return newError(ReasonNodeBadReply, "the hoster ended the stream before the end of its turn")
		}
		if err != nil {
			return err
		}
		select {
		case s.events <- event:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

func (s *stream) write(call grpc.BidiStreamingClient[pb.SessionStreamRequest, pb.SessionStreamResponse]) {
	for {
		message := s.next()
		if message == nil {
			select {
			case <-s.wake:
				continue
			case <-s.ctx.Done():
				return
			}
		}
		// Of a stream that is over the reader learns why.
		switch err := call.Send(message); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			s.cancel(unsendable(err))
			return
		}
	}
}

func (s *stream) next() *pb.SessionStreamRequest {
	s.mu.Lock()
	if len(s.out) > 0 {
		message := s.out[0]
		s.out = s.out[1:]
		s.mu.Unlock()
		return message
	}
	live := s.live
	s.mu.Unlock()
	if live == nil {
		return nil
	}
	return live.next(s)
}

// send never waits. Of several acks that wait the newest one is sent.
func (s *stream) send(message *pb.SessionStreamRequest) {
	if message == nil {
		return
	}
	s.mu.Lock()
	last := len(s.out) - 1
	if last >= 0 && s.out[last].GetAck() != nil && message.GetAck() != nil {
		s.out[last] = message
	} else {
		s.out = append(s.out, message)
	}
	s.mu.Unlock()
	s.wakeUp()
}

func (s *stream) follow(live *liveParts) {
	s.mu.Lock()
	s.live = live
	s.mu.Unlock()
	s.wakeUp()
}

func (s *stream) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// await gives the next event. `paused` says at the end of the wait whether silence is as it should be; else the
// stream is given up.
func (s *stream) await(ctx context.Context, limit time.Duration, what string, paused func() bool) (*pb.SessionStreamResponse, *Error) {
	select {
	case event, ok := <-s.events:
		if !ok {
			return nil, s.err
		}
		return event, nil
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case event, ok := <-s.events:
			if !ok {
				return nil, s.err
			}
			return event, nil
		case <-ctx.Done():
			return nil, ended(ctx)
		case <-timer.C:
			if paused != nil && paused() {
				timer.Reset(limit)
				continue
			}
			late := stalled(what, limit)
			s.cancel(late)
			return nil, late
		}
	}
}

// established waits for the first word of a stream, which it gives, and gives the stream up without it.
func (s *stream) established(ctx context.Context, limit time.Duration) (*pb.SessionStreamResponse, *Error) {
	event, err := s.await(ctx, limit, "no answer", nil)
	if err != nil {
		s.cancel(err)
	}
	return event, err
}

// unsendable: the message never left, so it is the caller's and says nothing about the hoster.
func unsendable(err error) *Error {
	failed := FromError(err)
	if failed.Class == ClassNode {
		return newError(ReasonInvalidArgument, "the input cannot be sent: %s", failed.Message).because(err)
	}
	return failed
}
