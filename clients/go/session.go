package cabstand

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// SessionOption changes how a session is.
type SessionOption func(*sessionOptions)

type sessionOptions struct {
	id, digest  string
	durable     bool
	priority    int32
	maxReplay   int
	timeouts    Timeouts
	onMessage   func(Message)
	onNotice    func(Message)
	onRecovered func(Recovery)
}

// WithID names the session: 1 to 64 of A-Z a-z 0-9 . _ -. Default: a random name.
func WithID(id string) SessionOption { return func(o *sessionOptions) { o.id = id } }

// WithDurable says whether the session outlives its hoster and connections. Default true.
func WithDurable(durable bool) SessionOption { return func(o *sessionOptions) { o.durable = durable } }

// WithDigest takes only hosters with exactly these weights (sha256:…). Default: any.
func WithDigest(digest string) SessionOption { return func(o *sessionOptions) { o.digest = digest } }

// WithPriority is 0 to 9; higher goes first among the sessions of a hoster. Default 0.
func WithPriority(priority int) SessionOption {
	return func(o *sessionOptions) { o.priority = int32(max(-1, min(priority, 10))) }
}

// WithMaxReplay bounds the bytes of input that are kept for another hoster until a checkpoint covers them.
// Default 16 MiB.
func WithMaxReplay(bytes int) SessionOption { return func(o *sessionOptions) { o.maxReplay = bytes } }

// WithTimeouts says how long this session waits for what.
func WithTimeouts(timeouts Timeouts) SessionOption {
	return func(o *sessionOptions) { o.timeouts = timeouts }
}

// WithOnMessage is told each message of a module, exactly once, in order with the chunks, by the goroutine that
// reads them.
func WithOnMessage(told func(Message)) SessionOption {
	return func(o *sessionOptions) { o.onMessage = told }
}

// WithOnNotice is told what a module lets go without a record: it may be lost.
func WithOnNotice(told func(Message)) SessionOption {
	return func(o *sessionOptions) { o.onNotice = told }
}

// WithOnRecovered is told each time that a stream goes on after a break.
func WithOnRecovered(told func(Recovery)) SessionOption {
	return func(o *sessionOptions) { o.onRecovered = told }
}

// Message is what a module tells besides its outputs.
type Message struct {
	Name string
	JSON json.RawMessage
	// Position of its record; -1 for a notice.
	Position int64
}

// Recovery is a break of a stream that its reader noticed nothing of but time.
type Recovery struct {
	Cause *Error
	// From and To are addresses of hosters; the same one where the connection broke only.
	From, To string
	// Position of the first record after it.
	Position int64
	Gap      time.Duration
}

type standing int

const (
	// No hoster has it.
	idle standing = iota
	// A hoster has it, and the session a stream.
	open
	// Its stream broke, or is left; `home` had it last.
	broken
	// It is over, for the reason in `failed`.
	over
)

// Session is a model's session: turns one after the other, which see the state of those before. Safe for
// goroutines; one turn runs at a time (SESSION_BUSY otherwise).
type Session struct {
	client  *Client
	model   string
	options sessionOptions
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu sync.Mutex
	// Closed when the turn that runs is over, with its winding up; nil for none.
	running chan struct{}
	leaving bool
	closed  bool

	// Of whoever runs a turn, or closes.
	state    standing
	failed   *Error
	id       string
	attempts int
	turn     int64
	owner    []byte
	epoch    int64
	highest  int64
	served   int64
	digest   string
	survival pb.Survival
	home     node
	stream   *stream
	guard    guard
	acker    acker
	kept     continuation
	commands commands
	breakage *breakage
	moving   moving
	// Another process had it, and may have gone on since: whatever its epoch, this one takes over.
	claims bool
	// It is taken over by its name; true until a hoster has said where it is.
	joins bool
	// A turn was under way in the process that had it before.
	pending bool
}

var sessionID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Session begins a session of a model. Nothing is sent before its first turn. Values of ctx (outgoing metadata,
// say) are those of its calls; its end is not the session's.
func (c *Client) Session(ctx context.Context, model string, options ...SessionOption) (*Session, error) {
	chosen := sessionOptions{durable: true, maxReplay: 16 << 20}
	for _, option := range options {
		option(&chosen)
	}
	switch {
	case model == "":
		return nil, invalid("model", `""`, "the name of a model")
	case chosen.id != "" && (!sessionID.MatchString(chosen.id) || strings.HasPrefix(chosen.id, "anonymous-")):
		return nil, invalid("WithID", chosen.id, "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with anonymous-")
	case chosen.priority < 0 || chosen.priority > 9:
		return nil, invalid("WithPriority", chosen.priority, "0 to 9")
	case chosen.maxReplay < 0:
		return nil, invalid("WithMaxReplay", chosen.maxReplay, "a number of bytes")
	}
	chosen.timeouts = chosen.timeouts.withDefaults(c.config.Timeouts)
	s := &Session{
		client: c, model: model, options: chosen, owner: make([]byte, 16), epoch: 1, highest: 1,
		acker: newAcker(), kept: newContinuation(chosen.maxReplay), id: chosen.id,
	}
	if _, err := rand.Read(s.owner); err != nil {
		return nil, newError(ReasonInternal, "no randomness: %v", err)
	}
	if s.id == "" {
		s.id = fmt.Sprintf("go-%x", s.owner)
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := c.add(s); err != nil {
		return nil, err
	}
	return s, nil
}

// ID is the session's name at its hoster. It is settled once the first record is here.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Node is the address of the hoster that had the session last; empty before any had.
func (s *Session) Node() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.home.address
}

// Run runs one turn and gives its chunks as they come. An error is the last thing it gives. Leaving the loop
// early cancels the turn; the session can start another one.
func (s *Session) Run(ctx context.Context, in Input) iter.Seq2[*Chunk, error] {
	return func(yield func(*Chunk, error) bool) {
		turn, err := s.Start(ctx, in)
		if err != nil {
			yield(nil, err)
			return
		}
		turn.Chunks()(yield)
	}
}

// Start begins a turn whose input is complete. It is sent when its chunks are read.
func (s *Session) Start(ctx context.Context, in Input) (*Turn, error) {
	return s.begin(ctx, in, false)
}

// Live begins a turn whose input comes in parts: send them with [Turn.Send] while another goroutine reads
// [Turn.Chunks]. `in` has what is known at once; mostly parameters, or nothing.
func (s *Session) Live(ctx context.Context, in Input) (*Turn, error) {
	return s.begin(ctx, in, true)
}

func (s *Session) begin(ctx context.Context, in Input, live bool) (*Turn, error) {
	wire, bad := in.toWire()
	if bad != nil {
		return nil, bad
	}
	for {
		s.mu.Lock()
		running, leaving := s.running, s.leaving
		switch {
		case s.closed:
			s.mu.Unlock()
			return nil, newError(ReasonCancelled, "the session is closed")
		case s.failed != nil:
			s.mu.Unlock()
			return nil, s.failed
		case running == nil:
			s.running, s.leaving = make(chan struct{}), false
			s.mu.Unlock()
			return newTurn(ctx, s, wire, live), nil
		}
		s.mu.Unlock()
		if !leaving {
			return nil, newError(ReasonSessionBusy, "another turn of the session runs: read its chunks to the end first")
		}
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ended(ctx)
		}
	}
}

// Command tells the session of a module something and waits for the result, which comes while its turn's chunks
// are read. `args` becomes JSON. Errors: COMMAND_UNKNOWN, COMMAND_INVALID, COMMAND_REJECTED with the author's
// `code` in the metadata, COMMAND_FAILED; the session goes on.
func (s *Session) Command(ctx context.Context, name string, args any) (json.RawMessage, error) {
	one, err := s.commands.add(name, args)
	if err != nil {
		return nil, err
	}
	return one.wait(ctx)
}

// Close ends the session at its hoster. A turn that runs is cancelled. It may be called more than once.
func (s *Session) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	running := s.running
	s.mu.Unlock()
	goodbye := newError(ReasonCancelled, "the session was closed")
	s.client.remove(s)
	defer s.cancel(goodbye)
	if running != nil {
		// Whoever reads the turn sees the end.
		s.cancel(goodbye)
		s.commands.fail(goodbye)
		s.closeAtHoster()
		return nil
	}
	s.commands.fail(goodbye)
	s.leaveStream(goodbye)
	return nil
}

// leaveStream says goodbye on the session's own stream, or beside it.
func (s *Session) leaveStream(goodbye *Error) {
	if s.state != open || s.stream == nil {
		if s.state == broken && s.options.durable {
			s.closeAtHoster()
		}
		return
	}
	s.stream.send(&pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Close{Close: &pb.Close{Reason: "closed by the caller"}}})
	limit := s.options.timeouts.Close
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), limit)
	defer cancel()
	for {
		event, err := s.stream.await(ctx, limit, "no goodbye", nil)
		if err != nil || event.GetClosed() != nil {
			break
		}
	}
	s.stream.cancel(goodbye)
}

func (s *Session) closeAtHoster() {
	s.mu.Lock()
	home := s.home
	s.mu.Unlock()
	if home.address != "" {
		s.closeAt(home)
	}
}

// closeAt ends the session at a hoster to which it has no stream.
func (s *Session) closeAt(at node) {
	s.mu.Lock()
	request := &pb.CloseSessionRequest{SessionId: s.id, Epoch: s.currentEpoch()}
	s.mu.Unlock()
	// A hoster that does not answer ends it by itself.
	_, _ = unary(context.WithoutCancel(s.ctx), s.client.conns, at.address, s.options.timeouts.Close,
		func(ctx context.Context, conn grpc.ClientConnInterface) (*pb.CloseSessionResponse, error) {
			return pb.NewHosterServiceClient(conn).RpcCloseSession(ctx, request)
		})
}

func (s *Session) currentEpoch() *pb.Epoch { return &pb.Epoch{Counter: s.epoch, Owner: s.owner} }

// raiseEpoch gives the epoch of who takes over.
func (s *Session) raiseEpoch() *pb.Epoch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.highest++
	s.epoch = s.highest
	return s.currentEpoch()
}

// taken: a hoster has it.
func (s *Session) taken(on *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.home, s.stream, s.state, s.served = on.node, on, open, s.epoch
}

// lose: the session cannot go on.
func (s *Session) lose(err *Error) {
	s.mu.Lock()
	if s.failed == nil {
		s.failed = err
	}
	s.state = over
	s.mu.Unlock()
	s.commands.fail(err)
	s.moving.drop()
	if s.stream != nil {
		s.stream.cancel(err)
	}
}

// turnDone lets the next turn begin.
func (s *Session) turnDone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.running)
	s.running = nil
}
