package cabstand

import (
	"testing"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

func TestViewKnowsASessionThatWasBegunAnew(t *testing.T) {
	streaming, orphaned := pb.SessionState_SESSION_STATE_STREAMING, pb.SessionState_SESSION_STATE_ORPHANED
	for _, c := range []struct {
		what     string
		epoch    int64
		position int64
		state    pb.SessionState
		another  bool
	}{
		{"goes on where it was", 2, 9, streaming, false},
		{"goes on elsewhere, from what its reader has", 3, 0, streaming, false},
		{"was begun anew", 2, 4, streaming, true},
		{"was begun anew, where the one before had moved", 1, 9, streaming, true},
		{"was left behind", 1, 9, orphaned, false},
	} {
		view := &View{epoch: 1}
		for _, position := range []int64{3, 4} {
			view.record(&pb.Record{Position: position, Epoch: 2})
		}
		status := &pb.SessionStatusResponse{Epoch: c.epoch, Position: c.position, State: c.state}
		if got := view.isAnother(status); got != c.another {
			t.Errorf("%s: got %v, expected %v", c.what, got, c.another)
		}
	}
}
