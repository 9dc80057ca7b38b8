package cabstand

import (
	"fmt"
	"slices"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Most entries that hosters take with a resume.
const mostGiven = 10_000

// continuation is what going on at another hoster takes: the newest checkpoint, and what was given since it.
type continuation struct {
	// Bytes that are kept: a session that was given more cannot move until a checkpoint covers it.
	most       int
	checkpoint *pb.Checkpoint
	// Since the checkpoint, in order: turns that ended without one, and what modules that survive by replay were
	// given.
	past  []*pb.Replay
	given []*pb.Replay
	bytes int
	// Positions before this one are missing where no checkpoint covers them.
	lost  int64
	chain uint32
}

func newContinuation(most int) continuation { return continuation{most: most, lost: -1} }

// openedAnew: what a hoster gave before under another name is of no use.
func (c *continuation) openedAnew() { *c = newContinuation(c.most) }

// arrived: a record counts.
func (c *continuation) arrived(record *pb.Record, survival pb.Survival) {
	c.chain = record.GetChain()
	if survival != pb.Survival_SURVIVAL_REPLAY {
		return
	}
	switch record.GetBody().(type) {
	case *pb.Record_Applied, *pb.Record_Input, *pb.Record_Recorded:
		c.keep(&c.given, &pb.Replay{
			Turn: record.GetTurn(), Position: record.GetPosition(), What: &pb.Replay_Record{Record: record},
		})
	}
}

// ended: a turn that began at a position is over.
func (c *continuation) ended(turn, position int64, input *pb.TurnInput, live bool, checkpoint *pb.Checkpoint) {
	switch {
	case checkpoint != nil:
		c.checkpoint = checkpoint
		c.covered(checkpoint.GetPosition())
	case live || input == nil:
		c.lost = max(c.lost, position)
	default:
		c.keep(&c.past, &pb.Replay{Turn: turn, Position: position, What: &pb.Replay_Input{Input: input}})
	}
}

// missed: what was given below a position, nobody told this process.
func (c *continuation) missed(position int64) { c.lost = max(c.lost, position-1, 0) }

func (c *continuation) keep(list *[]*pb.Replay, entry *pb.Replay) {
	size := replayBytes(entry)
	if c.bytes+size > c.most || len(c.past)+len(c.given) >= mostGiven {
		c.lost = max(c.lost, entry.GetPosition())
		return
	}
	c.bytes += size
	*list = append(*list, entry)
}

// offer takes a newer checkpoint; false if it is ahead of the next record that is expected, or not newer.
func (c *continuation) offer(checkpoint *pb.Checkpoint, next int64) bool {
	if checkpoint == nil || checkpoint.GetPosition() > next {
		return false
	}
	if c.checkpoint != nil && checkpoint.GetPosition() <= c.checkpoint.GetPosition() {
		return false
	}
	c.checkpoint = checkpoint
	c.covered(checkpoint.GetPosition())
	return true
}

func (c *continuation) covered(position int64) {
	drop := func(entry *pb.Replay) bool {
		if entry.GetPosition() >= position {
			return false
		}
		c.bytes -= replayBytes(entry)
		return true
	}
	c.past = slices.DeleteFunc(c.past, drop)
	c.given = slices.DeleteFunc(c.given, drop)
	if c.lost < position {
		c.lost = -1
	}
}

// resume is what to send besides the turn that runs. Fails with SESSION_LOST where something is missing.
func (c *continuation) resume(turn, delivered int64, replayable bool) (*pb.Resume, *Error) {
	if c.lost >= 0 || !replayable {
		return nil, newError(ReasonSessionLost,
			"the hoster is lost, and input since the newest checkpoint was not kept: it is more than %d bytes (WithMaxReplay)",
			c.most).with("field", "WithMaxReplay", "value", fmt.Sprint(c.most))
	}
	return &pb.Resume{
		Checkpoint:        c.checkpoint,
		Replay:            append(slices.Clone(c.past), c.given...),
		DeliveredPosition: delivered,
		Turn:              turn,
		Chain:             c.chain,
	}, nil
}

func replayBytes(entry *pb.Replay) int {
	input, record := entry.GetInput(), entry.GetRecord()
	return 64 + bytesOf(input.GetInputs()) + len(input.GetPrompt()) + len(input.GetParameters()) +
		len(record.GetApplied().GetArguments()) + len(record.GetRecorded().GetJson())
}
