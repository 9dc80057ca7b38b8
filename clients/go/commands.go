package cabstand

import (
	"context"
	"encoding/json"
	"sync"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

const (
	mostCommands     = 64
	mostCommandBytes = 65_536
)

// commands of a session on their way: numbered from 0, kept until the record has come that tells that they took
// effect, and told to each hoster that takes the session up and lacks them.
type commands struct {
	mu      sync.Mutex
	next    int64
	waiting []*command
	// The stream that is told: nil before its hoster has opened the session.
	stream *stream
	// Why there can be none.
	over *Error
}

type command struct {
	wire    *pb.Command
	applied bool
	done    chan commandOutcome
}

type commandOutcome struct {
	value json.RawMessage
	err   *Error
}

func (c *commands) add(name string, args any) (*command, *Error) {
	text, err := json.Marshal(args)
	switch {
	case err != nil:
		return nil, invalid("args", args, "what JSON has").because(err)
	case len(text) > mostCommandBytes:
		return nil, newError(ReasonLimitExceeded, "arguments of %d bytes, at most %d", len(text), mostCommandBytes)
	case args == nil:
		text = []byte("{}")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return nil, c.over
	}
	if len(c.waiting) >= mostCommands {
		return nil, newError(ReasonLimitExceeded, "%d commands wait for their results, at most %d", len(c.waiting), mostCommands)
	}
	one := &command{
		wire: &pb.Command{Sequence: c.next, Name: name, Arguments: string(text)},
		done: make(chan commandOutcome, 1),
	}
	c.next++
	c.waiting = append(c.waiting, one)
	if c.stream != nil {
		c.stream.send(one.request())
	}
	return one, nil
}

func (c *command) request() *pb.SessionStreamRequest {
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Command{Command: c.wire}}
}

func (c *command) wait(ctx context.Context) (json.RawMessage, error) {
	select {
	case outcome := <-c.done:
		if outcome.err != nil {
			return nil, outcome.err
		}
		return outcome.value, nil
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// opened: a hoster has taken the session up, and expects the command with that number. It has those below, and is told
// the others, which follow without a gap. `guessed`: this process took the session over, and no hoster was told of what
// waits here.
func (c *commands) opened(on *stream, expected int64, guessed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = on
	for _, one := range c.waiting {
		number := one.wire.GetSequence()
		if one.applied || (number < expected && !guessed) {
			// A hoster that has forgotten it is told of no other one under its number.
			expected = max(expected, number+1)
			continue
		}
		if number != expected {
			// What was told of it may still be on its way out of a stream that broke.
			one.wire = &pb.Command{Sequence: expected, Name: one.wire.GetName(), Arguments: one.wire.GetArguments()}
		}
		on.send(one.request())
		expected++
	}
	c.next = expected
}

func (c *commands) broke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = nil
}

func (c *commands) tookEffect(number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.waiting {
		if one.wire.GetSequence() == number {
			one.applied = true
		}
	}
}

func (c *commands) result(result *pb.CommandResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, one := range c.waiting {
		if one.wire.GetSequence() != result.GetSequence() {
			continue
		}
		outcome := commandOutcome{err: fromDetail(result.GetError())}
		if outcome.err == nil {
			outcome.value = json.RawMessage(result.GetValue())
		}
		one.done <- outcome
		c.waiting = append(c.waiting[:i:i], c.waiting[i+1:]...)
		return
	}
}

// fail: there will be no further result.
func (c *commands) fail(err *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.stream = err, nil
	for _, one := range c.waiting {
		one.done <- commandOutcome{err: err}
	}
	c.waiting = nil
}
