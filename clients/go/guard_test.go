package cabstand

import (
	"testing"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

func record(position, turn, epoch int64) *pb.Record {
	return &pb.Record{Position: position, Turn: turn, Epoch: epoch, Body: &pb.Record_Chunk{Chunk: &pb.Chunk{}}}
}

func TestGuard(t *testing.T) {
	g := guard{}
	accept := func(position, turn, epoch int64) (bool, Reason) {
		is, err := g.accept(record(position, turn, epoch), 0, 2)
		if err != nil {
			return is, err.Reason
		}
		return is, ""
	}
	cases := []struct {
		what                  string
		position, turn, epoch int64
		is                    bool
		reason                Reason
	}{
		{"the first", 0, 0, 1, true, ""},
		{"the same again", 0, 0, 1, false, ""},
		{"one that leaves some out", 2, 0, 1, false, ReasonNodeBadReply},
		{"of another turn", 1, 1, 1, false, ReasonNodeBadReply},
		{"of an epoch nobody has", 1, 0, 3, false, ReasonNodeBadReply},
		{"the next, of a newer epoch", 1, 0, 2, true, ""},
		{"one of an epoch that was left", 2, 0, 1, false, ReasonNodeBadReply},
		{"below zero", -1, 0, 2, false, ReasonNodeBadReply},
	}
	for _, c := range cases {
		if is, reason := accept(c.position, c.turn, c.epoch); is != c.is || reason != c.reason {
			t.Errorf("%s: %v %q", c.what, is, reason)
		}
	}
	// All of them count, or none.
	before := g
	if _, err := g.acceptAll([]*pb.Record{record(2, 0, 2), record(4, 0, 2)}, 0, 2); err == nil || g != before {
		t.Error(err, g)
	}
	fresh, err := g.acceptAll([]*pb.Record{record(1, 0, 2), record(2, 0, 2), record(3, 0, 2)}, 0, 2)
	if err != nil || len(fresh) != 2 || g.next != 4 {
		t.Error(fresh, err, g)
	}
}

func TestAcker(t *testing.T) {
	a := newAcker()
	if a.ack() != nil {
		t.Error("there is nothing to say yet")
	}
	a.opened(&pb.Opened{AckRecords: 3, AckBytes: 1000}, true)
	due := func(position int64, bytes int, end bool) bool {
		one := record(position, 0, 1)
		one.GetChunk().Outputs = []*pb.Tensor{{Data: make([]byte, bytes)}}
		if end {
			one.Body = &pb.Record_EndOfTurn{EndOfTurn: &pb.EndOfTurn{}}
		}
		return a.through(one)
	}
	if due(0, 1, false) || due(1, 1, false) || !due(2, 1, false) {
		t.Error("after three records")
	}
	if got := a.ack().GetAck().GetPosition(); got != 2 {
		t.Error(got)
	}
	if !due(3, 1000, false) {
		t.Error("after so many bytes")
	}
	a.ack()
	if due(3, 1000, false) {
		t.Error("one that was here before")
	}
	if !due(4, 1, true) {
		t.Error("at the end of a turn")
	}
}

func TestContinuation(t *testing.T) {
	input := &pb.TurnInput{Inputs: []*pb.Tensor{{Data: make([]byte, 100)}}}
	c := newContinuation(400)
	c.ended(0, 0, input, false, nil)
	c.ended(1, 5, input, false, nil)
	resume, err := c.resume(2, 9, true)
	if err != nil || len(resume.GetReplay()) != 2 || resume.GetDeliveredPosition() != 9 || resume.GetTurn() != 2 {
		t.Fatal(resume, err)
	}
	if c.offer(&pb.Checkpoint{Position: 11}, 10) {
		t.Error("a checkpoint ahead of what has arrived would leave records out")
	}
	if !c.offer(&pb.Checkpoint{Position: 5}, 10) || c.offer(&pb.Checkpoint{Position: 5}, 10) {
		t.Error("a newer one counts, once")
	}
	if resume, err = c.resume(2, 9, true); err != nil || len(resume.GetReplay()) != 1 || resume.GetReplay()[0].GetTurn() != 1 {
		t.Error(resume, err)
	}
	if _, err := c.resume(2, 9, false); err == nil || err.Reason != ReasonSessionLost {
		t.Error("live parts are missing", err)
	}
	// More than is kept: nothing helps but a checkpoint.
	c.ended(2, 10, input, false, nil)
	c.ended(3, 15, input, false, nil)
	if _, err := c.resume(4, 19, true); err == nil || err.Reason != ReasonSessionLost {
		t.Error(err)
	}
	c.ended(4, 20, input, false, &pb.Checkpoint{Position: 25})
	if resume, err = c.resume(5, 24, true); err != nil || len(resume.GetReplay()) != 0 {
		t.Error(resume, err)
	}
	// What a module was given, where it survives by replay.
	given := record(26, 0, 1)
	given.Body, given.Chain = &pb.Record_Recorded{Recorded: &pb.RecordedValue{Json: "1"}}, 77
	c.arrived(given, pb.Survival_SURVIVAL_REPLAY)
	if resume, err = c.resume(5, 26, true); err != nil || resume.GetReplay()[0].GetRecord() != given || resume.GetChain() != 77 {
		t.Error(resume, err)
	}
}
