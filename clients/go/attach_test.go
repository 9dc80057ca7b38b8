package cabstand

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// hosterOfAnother has a module's session of which another process had the records below 2, and sent commands 0 to 6.
type hosterOfAnother struct {
	pb.UnimplementedHosterServiceServer
	// So many commands are refused first, as many as may wait do.
	full int
	runs bool

	mu       sync.Mutex
	attached []*pb.Attach
	commands []*pb.Command
	turns    []*pb.Turn
}

func (h *hosterOfAnother) RpcSessionStatus(context.Context, *pb.SessionStatusRequest) (*pb.SessionStatusResponse, error) {
	return &pb.SessionStatusResponse{
		State: pb.SessionState_SESSION_STATE_STREAMING, Model: "m", Epoch: 3,
		Position: 4, AcknowledgedPosition: 1, TurnRuns: h.runs,
	}, nil
}

func (h *hosterOfAnother) RpcSessionStream(call grpc.BidiStreamingServer[pb.SessionStreamRequest, pb.SessionStreamResponse]) error {
	first, err := call.Recv()
	if err != nil {
		return err
	}
	attach := first.GetAttach()
	h.mu.Lock()
	h.attached = append(h.attached, attach)
	times := len(h.attached)
	h.mu.Unlock()
	from := max(2, attach.GetFromPosition())
	send := func(event *pb.SessionStreamResponse) { _ = call.Send(event) }
	send(&pb.SessionStreamResponse{Event: &pb.SessionStreamResponse_Notice{Notice: &pb.Notice{What: &pb.Notice_Opened{
		Opened: &pb.Opened{Position: from, Survival: pb.Survival_SURVIVAL_REPLAY, NextCommandSequence: 7},
	}}}})
	record := func(position int64, body *pb.Record) {
		body.Position, body.Epoch = position, 3
		send(&pb.SessionStreamResponse{Event: &pb.SessionStreamResponse_Record{Record: body}})
	}
	for ; from < 4; from++ {
		record(from, &pb.Record{Body: &pb.Record_Chunk{Chunk: &pb.Chunk{}}})
	}
	for {
		message, err := call.Recv()
		if err != nil {
			return nil
		}
		if turn := message.GetTurn(); turn != nil {
			h.mu.Lock()
			h.turns = append(h.turns, turn)
			h.mu.Unlock()
		}
		command := message.GetCommand()
		if command == nil {
			continue
		}
		if times <= h.full {
			refusal, _ := status.New(codes.ResourceExhausted, "full").WithDetails(
				&errdetails.ErrorInfo{Domain: "cabstand", Reason: "RATE_LIMITED", Metadata: map[string]string{"limited_by": "commands_waiting"}},
				&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)},
			)
			return refusal.Err()
		}
		h.mu.Lock()
		h.commands = append(h.commands, command)
		h.mu.Unlock()
		record(4, &pb.Record{Body: &pb.Record_Applied{Applied: &pb.AppliedCommand{Sequence: command.GetSequence()}}})
		record(5, &pb.Record{Body: &pb.Record_Result{Result: &pb.CommandResult{
			Sequence: command.GetSequence(), Outcome: &pb.CommandResult_Value{Value: "1"},
		}}})
		record(6, &pb.Record{Body: &pb.Record_EndOfTurn{EndOfTurn: &pb.EndOfTurn{Reason: pb.EndReason_END_REASON_COMPLETED}}})
		send(&pb.SessionStreamResponse{Event: &pb.SessionStreamResponse_Closed{
			Closed: &pb.Closed{Reason: pb.EndReason_END_REASON_COMPLETED},
		}})
		return nil
	}
}

func (h *hosterOfAnother) start(t *testing.T) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterHosterServiceServer(server, h)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := Dial(Config{Hosters: []string{listener.Addr().String()}, Timeouts: Timeouts{Reattach: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func attached(t *testing.T, h *hosterOfAnother) *Session {
	t.Helper()
	session, err := h.start(t).Attach(context.Background(), "theirs", "m")
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// rest reads the rest of the turn, while a command is given.
func rest(t *testing.T, session *Session) []int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	turn, err := session.Rest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		value, err := session.Command(ctx, "do", nil)
		if err == nil && !json.Valid(value) {
			t.Errorf("%q", value)
		}
		told <- err
	}()
	var positions []int64
	for chunk, err := range turn.Chunks() {
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, chunk.Position)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	return positions
}

func TestAttachTakesASessionOverByItsName(t *testing.T) {
	h := &hosterOfAnother{runs: true}
	session := attached(t, h)
	if got := rest(t, session); len(got) != 2 || got[0] != 2 || got[1] != 3 {
		t.Error("not the oldest records that are kept:", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	attach := h.attached[0]
	if attach.GetFromPosition() != oldest || attach.GetEpoch().GetCounter() <= 3 || attach.GetSessionId() != "theirs" {
		t.Error("another process keeps it:", attach)
	}
	if len(h.commands) != 1 || h.commands[0].GetSequence() != 7 {
		t.Error("its commands do not follow those of the process before:", h.commands)
	}
	if len(h.turns) != 0 {
		t.Error("the turn has an input that this process does not have:", h.turns)
	}
}

func TestAttachWaitsWhereAsManyCommandsWaitAsMay(t *testing.T) {
	h := &hosterOfAnother{runs: true, full: 3}
	session := attached(t, h)
	if got := rest(t, session); len(got) != 2 {
		t.Error(got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.attached) != 4 || h.attached[3].GetFromPosition() != 4 || len(h.commands) != 1 {
		t.Error("it did not attach again, behind what it had read:", h.attached, h.commands)
	}
}

func TestAttachRefusesWhatCannotBe(t *testing.T) {
	client := (&hosterOfAnother{}).start(t)
	ctx := context.Background()
	if _, err := client.Attach(ctx, "a b", ""); FromError(err).Reason != ReasonInvalidArgument {
		t.Error(err)
	}
	mine, err := client.Session(ctx, "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Rest(ctx); FromError(err).Reason != ReasonTurnOutOfOrder {
		t.Error(err)
	}
}
