package cabstand

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestErrorsOfServices(t *testing.T) {
	st, err := status.New(codes.ResourceExhausted, "full").WithDetails(
		&errdetails.ErrorInfo{Domain: "cabstand", Reason: "HOSTER_FULL", Metadata: map[string]string{"queue_position": "3"}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
	)
	if err != nil {
		t.Fatal(err)
	}
	var failed *Error
	if !errors.As(error(FromError(fmt.Errorf("wrapped: %w", st.Err()))), &failed) {
		t.Fatal("no *Error")
	}
	if failed.Reason != ReasonHosterFull || failed.Class != ClassOverload || failed.RetryAfter != 1500*time.Millisecond ||
		failed.Metadata["queue_position"] != "3" || status.Code(failed) != codes.ResourceExhausted {
		t.Errorf("%+v", failed)
	}
	other, err := status.New(codes.Unavailable, "?").WithDetails(&errdetails.ErrorInfo{Domain: "cabstand", Reason: "OF_TOMORROW"})
	if err != nil {
		t.Fatal(err)
	}
	if got := FromError(other.Err()); got.Reason != ReasonNodeUnreachable {
		t.Error("a reason that came later is taken by its code", got)
	}
	if got := FromError(status.Error(codes.ResourceExhausted, "too large")); got.Reason != ReasonMessageTooLarge {
		t.Error(got)
	}
	if got := FromError(context.Canceled); got.Reason != ReasonCancelled || !errors.Is(got, context.Canceled) {
		t.Error(got)
	}
	if FromError(nil) != nil {
		t.Error("nil is nil")
	}
}

func TestDecide(t *testing.T) {
	name := func(d decision) string {
		if d.attach {
			return "attach"
		}
		return []string{"throw", "elsewhere", "wait", "resume"}[d.action]
	}
	cases := []struct {
		reason                                         Reason
		opening, again, placing, durable, durableAgain string
	}{
		{ReasonInputShape, "throw", "throw", "throw", "throw", "throw"},
		{ReasonModelUnknown, "elsewhere", "throw", "throw", "throw", "throw"},
		{ReasonHosterFull, "elsewhere", "wait", "wait", "resume", "wait"},
		{ReasonDraining, "elsewhere", "wait", "wait", "resume", "resume"},
		{ReasonModelFailed, "elsewhere", "wait", "wait", "resume", "resume"},
		{ReasonNodeUnreachable, "elsewhere", "throw", "wait", "attach", "attach"},
		{ReasonEngineCrashed, "elsewhere", "throw", "wait", "resume", "resume"},
		{ReasonSessionEvicted, "elsewhere", "throw", "throw", "resume", "resume"},
		{ReasonPositionInvalid, "throw", "throw", "throw", "resume", "resume"},
		{ReasonCredentialsExpired, "throw", "throw", "throw", "throw", "throw"},
		{ReasonEpochFenced, "throw", "throw", "throw", "throw", "throw"},
		{ReasonTurnPoisoned, "throw", "throw", "throw", "throw", "throw"},
		{ReasonUnimplemented, "throw", "throw", "throw", "throw", "throw"},
	}
	for _, c := range cases {
		err := newError(c.reason, "")
		got := []string{
			name(decide(err, opening, 1, 3, false)), name(decide(err, again, 1, 3, false)), name(decide(err, placing, 1, 3, false)),
			name(decide(err, streaming, 0, 0, true)), name(decide(err, again, 0, 1, true)),
			name(decide(err, streaming, 0, 0, false)), name(decide(err, opening, 3, 3, false)),
		}
		want := []string{c.opening, c.again, c.placing, c.durable, c.durableAgain, "throw", "throw"}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, not %v", c.reason, got, want)
				break
			}
		}
	}
	late := newError(ReasonCancelled, "").with("replaced_by", "same_consumer")
	if got := name(decide(late, streaming, 0, 0, true)); got != "attach" || isFinal(late) {
		t.Error("a call of its own that comes late ends no session:", got)
	}
	trust := newError(ReasonCredentialsExpired, "").with("open_call", "ended")
	if got := name(decide(trust, streaming, 0, 0, true)); got != "attach" {
		t.Error(got)
	}
	full := newError(ReasonRateLimited, "").with("limited_by", "commands_waiting")
	if got := name(decide(full, streaming, 0, 0, true)); got != "attach" {
		t.Error("a hoster with as many commands as may wait has the session still:", got)
	}
	for reason, want := range map[string]string{"evicted": "resume", "migrated": "resume", "completed": "throw", "cancelled": "throw"} {
		if got := name(decide(newError(ReasonSessionEnded, "").with("end_reason", reason), streaming, 0, 0, true)); got != want {
			t.Error(reason, got)
		}
	}
}
