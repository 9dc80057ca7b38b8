package cabstand

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Connections to servers, one for each address, kept until the client closes or too many are idle.
type connections struct {
	config Config
	// At most one of the two.
	tokens TokenSource
	signer *requestSigner

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn
	closed bool
}

var errClosed = errors.New("the client is closed")

func newConnections(config Config, tokens TokenSource, signer *requestSigner) *connections {
	return &connections{config: config, tokens: tokens, signer: signer, conns: map[string]*grpc.ClientConn{}}
}

// to gives the connection to an address, which connects when it is used.
func (c *connections) to(address string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, newError(ReasonCancelled, "the client is closed").because(errClosed)
	}
	if conn, ok := c.conns[address]; ok {
		// Who comes now does not wait for a pause that earlier attempts earned.
		if conn.GetState() == connectivity.TransientFailure {
			conn.ResetConnectBackoff()
		}
		return conn, nil
	}
	// No resolver and no balancer: an address is one server, and its name is the audience of tokens.
	conn, err := grpc.NewClient("passthrough:///"+address, c.options(address)...)
	if err != nil {
		return nil, invalid("address", address, "host:port").because(err)
	}
	c.conns[address] = conn
	return conn, nil
}

func (c *connections) options(address string) []grpc.DialOption {
	transport := insecure.NewCredentials()
	if c.config.TLS != nil {
		transport = credentials.NewTLS(c.config.TLS.Clone())
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(c.config.MaxRecvMsgSize),
			grpc.MaxCallSendMsgSize(c.config.MaxSendMsgSize),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		// A session that is taken up again is one by its position, never by gRPC's own means.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(5 * time.Minute),
	}
	if c.tokens != nil {
		options = append(options, grpc.WithPerRPCCredentials(
			&perRPC{source: c.tokens, plaintext: c.config.PlaintextTokens, audience: address}))
	}
	if c.signer != nil {
		options = append(options, c.signer.dialOptions(address)...)
	}
	return append(options, c.config.DialOptions...)
}

// refused tells where credentials come from, and answers whether fresh ones may do better.
func (c *connections) refused(address string, err *Error) bool {
	source, ok := c.tokens.(refreshable)
	if c.signer != nil {
		source, ok = c.signer, true
	}
	if !ok || err.Class != ClassAuth || trustEnded(err) {
		return false
	}
	source.refused(address, err)
	return true
}

// unary makes one call, with fresh credentials once more where they are refused.
func unary[T any](
	ctx context.Context, c *connections, address string, limit time.Duration,
	call func(context.Context, grpc.ClientConnInterface) (T, error),
) (T, error) {
	for first := true; ; first = false {
		conn, err := c.to(address)
		if err != nil {
			var none T
			return none, err
		}
		brief, cancel := context.WithTimeoutCause(ctx, limit, stalled("no answer of "+address, limit))
		answer, err := call(brief, conn)
		cause := context.Cause(brief)
		cancel()
		if err == nil {
			return answer, nil
		}
		failed := FromError(err)
		if cause != nil {
			failed = FromError(cause)
		}
		if first && c.refused(address, failed) {
			continue
		}
		var none T
		return none, failed
	}
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// discard is slog.DiscardHandler, which Go 1.23 does not have.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return false }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }
