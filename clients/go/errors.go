package cabstand

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Error is every error of this package: what a service refused, or what the client found out by itself.
// Use [errors.As]. Where a context ended, [errors.Is] finds its error, too.
type Error struct {
	Reason  Reason
	Class   Class
	Message string
	// Metadata has the facts of the case: for bad input field, value and expected. Never nil.
	Metadata map[string]string
	// RetryAfter is how long the service asks to wait; 0 where it does not say.
	RetryAfter time.Duration
	// Cause is what it was made of, a gRPC status for one. May be nil.
	Cause error
}

func (e *Error) Error() string { return fmt.Sprintf("cabstand: %s: %s", e.Reason, e.Message) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// GRPCStatus is what [status.FromError] gives: the code of the reason.
func (e *Error) GRPCStatus() *status.Status {
	return status.New(e.Reason.Code(), e.Message)
}

func newError(reason Reason, format string, args ...any) *Error {
	return &Error{
		Reason:   reason,
		Class:    reason.Class(),
		Message:  fmt.Sprintf(format, args...),
		Metadata: map[string]string{},
	}
}

func (e *Error) with(metadata ...string) *Error {
	for i := 0; i+1 < len(metadata); i += 2 {
		e.Metadata[metadata[i]] = metadata[i+1]
	}
	return e
}

func (e *Error) because(cause error) *Error {
	e.Cause = cause
	return e
}

func invalid(field string, value any, expected string) *Error {
	return newError(ReasonInvalidArgument, "%s is %v, expected %s", field, value, expected).
		with("field", field, "value", fmt.Sprint(value), "expected", expected)
}

// FromError reads the reason off any error of a call: for who uses the generated stubs. Nil for nil.
func FromError(err error) *Error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	switch {
	case errors.Is(err, context.Canceled):
		return newError(ReasonCancelled, "the caller gave up").because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return newError(ReasonDeadlineExceeded, "the caller's time is over").because(err)
	}
	st, ok := status.FromError(err)
	if !ok {
		return newError(ReasonNodeBadReply, "%v", err).because(err)
	}
	var retryAfter time.Duration
	var info *errdetails.ErrorInfo
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == "cabstand" {
				info = detail
			}
		case *errdetails.RetryInfo:
			retryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	reason := bareReason(st.Code())
	var metadata map[string]string
	if info != nil {
		metadata = info.GetMetadata()
		// One that came later is taken by its code.
		if known := Reason(info.GetReason()); known.Class() != "" {
			reason = known
		}
	}
	made := newError(reason, "%s", st.Message()).because(err)
	made.RetryAfter = retryAfter
	for key, value := range metadata {
		made.Metadata[key] = value
	}
	return made
}

// fromDetail reads an error that came inside a stream; nil for none.
func fromDetail(detail *pb.ErrorDetail) *Error {
	if detail == nil {
		return nil
	}
	reason := Reason(detail.GetReason())
	if reason.Class() == "" {
		reason = ReasonInternal
	}
	made := newError(reason, "%s", detail.GetMessage())
	for key, value := range detail.GetMetadata() {
		made.Metadata[key] = value
	}
	return made
}

func stalled(what string, waited time.Duration) *Error {
	return newError(ReasonNodeStalled, "%s within %v", what, waited.Round(time.Millisecond)).
		with("waited_ms", fmt.Sprint(waited.Milliseconds()))
}

// ended is why a context is over, in this package's terms.
func ended(ctx context.Context) *Error { return FromError(context.Cause(ctx)) }
