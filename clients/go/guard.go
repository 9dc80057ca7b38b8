package cabstand

import (
	"fmt"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// guard lets the records of a session through exactly once and in order.
type guard struct {
	// The position of the next record.
	next  int64
	epoch int64
}

// acceptAll gives those of records that belong together which have not been here before. All of them count, or
// none.
func (g *guard) acceptAll(records []*pb.Record, turn, epoch int64) ([]*pb.Record, *Error) {
	before := *g
	var fresh []*pb.Record
	for _, record := range records {
		is, err := g.accept(record, turn, epoch)
		if err != nil {
			*g = before
			return nil, err
		}
		if is {
			fresh = append(fresh, record)
		}
	}
	return fresh, nil
}

func (g *guard) accept(record *pb.Record, turn, epoch int64) (bool, *Error) {
	position := record.GetPosition()
	switch {
	case position < 0:
		return false, badReply("position", position, "at least 0")
	case position < g.next:
		return false, nil
	case position > g.next:
		return false, badReply("position", position, fmt.Sprintf("%d: records are missing", g.next))
	case record.GetTurn() != turn:
		return false, badReply("turn", record.GetTurn(), fmt.Sprint(turn))
	case record.GetEpoch() < g.epoch || record.GetEpoch() > epoch:
		return false, badReply("epoch", record.GetEpoch(), fmt.Sprintf("%d to %d", g.epoch, epoch))
	}
	g.next = position + 1
	g.epoch = record.GetEpoch()
	return true, nil
}

func badReply(field string, value int64, expected string) *Error {
	return newError(ReasonNodeBadReply, "the hoster sent a record with %s %d, expected %s", field, value, expected).
		with("field", field, "value", fmt.Sprint(value), "expected", expected)
}

// What a record takes at the hoster beside its content: an estimate.
const recordBytes = 64

// Acks of a durable session whose hoster does not say how often it wants them.
const defaultAckEvery = 16

// acker tells the hoster what the application is through with, as often as it wishes.
type acker struct {
	// 0 for no acks.
	everyRecords int64
	everyBytes   int64

	delivered, acknowledged, bytes int64
}

func newAcker() acker { return acker{delivered: -1, acknowledged: -1} }

func (a *acker) opened(opened *pb.Opened, durable bool) {
	a.everyRecords, a.everyBytes = int64(opened.GetAckRecords()), opened.GetAckBytes()
	if a.everyRecords == 0 {
		a.everyRecords = int64(opened.GetAckEvery())
	}
	if a.everyRecords == 0 && durable {
		a.everyRecords = defaultAckEvery
	}
}

// through: the application has the record. Answers whether an ack is due.
func (a *acker) through(record *pb.Record) bool {
	if record.GetPosition() <= a.delivered {
		return false
	}
	a.delivered = record.GetPosition()
	a.bytes += recordBytes + int64(len(record.GetChunk().GetText())+bytesOf(record.GetChunk().GetOutputs()))
	over := record.GetEndOfTurn() != nil
	return a.everyRecords > 0 && (over ||
		a.delivered-a.acknowledged >= a.everyRecords || (a.everyBytes > 0 && a.bytes >= a.everyBytes))
}

// ack is the one to send now; nil where there is nothing to say.
func (a *acker) ack() *pb.SessionStreamRequest {
	if a.everyRecords == 0 || a.delivered < 0 {
		return nil
	}
	a.acknowledged, a.bytes = a.delivered, 0
	return &pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Ack{Ack: &pb.Ack{Position: a.delivered}}}
}
