package cabstand

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"google.golang.org/grpc"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Client is a connection to a subnet. Safe for goroutines; one is enough for a program.
type Client struct {
	config  Config
	conns   *connections
	routers *routers
	budget  *retryBudget

	mu       sync.Mutex
	closed   bool
	sessions map[*Session]struct{}
	views    map[*View]struct{}
}

// Dial makes a client. It connects when it is first used; what is wrong with the configuration fails here, with
// INVALID_ARGUMENT.
func Dial(config Config) (*Client, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	tokens, err := config.tokens()
	if err != nil {
		return nil, err
	}
	signer, err := config.signer()
	if err != nil {
		return nil, err
	}
	conns := newConnections(config, tokens, signer)
	return &Client{
		config: config, conns: conns, routers: newRouters(config, conns), budget: newRetryBudget(config.Backoff),
		sessions: map[*Session]struct{}{}, views: map[*View]struct{}{},
	}, nil
}

// Run runs one turn in a session of its own and gives its chunks.
func (c *Client) Run(ctx context.Context, model string, in Input, options ...SessionOption) iter.Seq2[*Chunk, error] {
	return func(yield func(*Chunk, error) bool) {
		s, err := c.Session(ctx, model, options...)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.Close()
		s.Run(ctx, in)(yield)
	}
}

// Info asks the hoster at an address which models it has, with their inputs, outputs and parameters, and its
// limits. Without models it tells all.
func (c *Client) Info(ctx context.Context, address string, models ...string) (*pb.InfoResponse, error) {
	return unary(ctx, c.conns, address, c.config.Timeouts.Acquire,
		func(ctx context.Context, conn grpc.ClientConnInterface) (*pb.InfoResponse, error) {
			return pb.NewHosterServiceClient(conn).RpcInfo(ctx, &pb.InfoRequest{Models: models})
		})
}

// ModelInfo asks a hoster that serves a model about it. Errors: MODEL_UNKNOWN, NO_NODE, ROUTER_UNREACHABLE.
func (c *Client) ModelInfo(ctx context.Context, model string) (*pb.ModelInfo, error) {
	found, bad := c.routers.places(ctx, placeRequest{model: model})
	if bad != nil {
		return nil, bad
	}
	var last error = newError(ReasonNoNode, "there is no hoster")
	for _, place := range found {
		info, err := c.Info(ctx, place.address, model)
		if err == nil {
			for _, one := range info.GetModels() {
				if one.GetOffer().GetName() == model {
					return one, nil
				}
			}
			err = newError(ReasonModelUnknown, "%s does not serve %s", place.address, model)
		}
		last = err
	}
	return nil, last
}

func (c *Client) add(s *Session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return newError(ReasonCancelled, "the client is closed").because(errClosed)
	}
	c.sessions[s] = struct{}{}
	return nil
}

func (c *Client) remove(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}

func (c *Client) addView(v *View) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return newError(ReasonCancelled, "the client is closed").because(errClosed)
	}
	c.views[v] = struct{}{}
	return nil
}

func (c *Client) removeView(v *View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.views, v)
}

// Close ends all sessions at their hosters, and the connections. It may be called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	var sessions []*Session
	for s := range c.sessions {
		sessions = append(sessions, s)
	}
	views := slices.Collect(maps.Keys(c.views))
	c.mu.Unlock()
	for _, v := range views {
		_ = v.Close()
	}
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Add(1)
		go func() {
			defer all.Done()
			_ = s.Close()
		}()
	}
	all.Wait()
	c.conns.close()
	return nil
}
