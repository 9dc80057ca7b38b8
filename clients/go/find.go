package cabstand

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// Most hosters that are asked at once.
const mostAsked = 64

// find gives the hoster that has a session of which only the name is known, and how that stands there. Errors:
// SESSION_UNKNOWN, SESSION_ENDED, or what stood in the way of asking.
func (c *Client) find(ctx context.Context, id, model string, limits Timeouts) (node, *pb.SessionStatusResponse, *Error) {
	nodes, err := c.routers.locate(ctx, id)
	if err == nil && len(nodes) == 0 {
		// Nobody tells routers of sessions that are not durable.
		nodes, err = c.routers.having(ctx, model)
	}
	if err != nil {
		return node{}, nil, err
	}
	nodes = nodes[:min(len(nodes), mostAsked)]
	answers, failures := make([]*pb.SessionStatusResponse, len(nodes)), make([]*Error, len(nodes))
	var all sync.WaitGroup
	for i, one := range nodes {
		all.Add(1)
		go func() {
			defer all.Done()
			answer, err := unary(ctx, c.conns, one.address, limits.Acquire,
				func(ctx context.Context, conn grpc.ClientConnInterface) (*pb.SessionStatusResponse, error) {
					return pb.NewHosterServiceClient(conn).RpcSessionStatus(ctx, &pb.SessionStatusRequest{SessionId: id})
				})
			answers[i], failures[i] = answer, FromError(err)
		}()
	}
	all.Wait()
	if ctx.Err() != nil {
		return node{}, nil, ended(ctx)
	}
	found, last, failure := -1, false, (*Error)(nil)
	for i, answer := range answers {
		switch {
		case failures[i] != nil:
			if failure == nil && failures[i].Reason != ReasonSessionUnknown {
				failure = failures[i]
			}
		case answer.GetState() == pb.SessionState_SESSION_STATE_ENDED,
			answer.GetState() == pb.SessionState_SESSION_STATE_UNSPECIFIED:
			last = true
		case found < 0 || answer.GetEpoch() > answers[found].GetEpoch():
			found = i
		}
	}
	switch {
	case found >= 0:
		return nodes[found], answers[found], nil
	case last:
		return node{}, nil, newError(ReasonSessionEnded, "session %s has ended", id).with("session_id", id)
	case failure != nil:
		return node{}, nil, failure
	}
	return node{}, nil, newError(ReasonSessionUnknown, "no hoster has session %s", id).with("session_id", id)
}

// locate gives the hosters that claim a durable session of the caller, the likeliest first.
func (r *routers) locate(ctx context.Context, id string) ([]node, *Error) {
	if len(r.routers) == 0 {
		return nil, nil
	}
	answer, err := ask(ctx, r, func(ctx context.Context, router pb.RouterServiceClient) (*pb.LocateResponse, error) {
		return router.RpcLocate(ctx, &pb.LocateRequest{SessionId: id})
	})
	if err != nil {
		return nil, FromError(err)
	}
	var found []node
	for _, one := range answer.GetLocations() {
		if one.GetNode() != nil {
			found = append(found, nodeOf(one.GetNode()))
		}
	}
	return found, nil
}

// having gives the hosters that may be asked about a model; of all models where it is empty.
func (r *routers) having(ctx context.Context, model string) ([]node, *Error) {
	var found []node
	if len(r.routers) == 0 {
		for _, address := range r.hosters {
			found = append(found, node{id: address, address: address})
		}
		return found, nil
	}
	answer, err := ask(ctx, r, func(ctx context.Context, router pb.RouterServiceClient) (*pb.WatchNodesResponse, error) {
		watch, err := router.RpcWatchNodes(ctx, &pb.WatchNodesRequest{})
		if err != nil {
			return nil, err
		}
		return watch.Recv()
	})
	if err != nil {
		return nil, FromError(err)
	}
	for _, info := range answer.GetNodes() {
		if model == "" || slices.ContainsFunc(info.GetModels(), func(o *pb.ModelOffer) bool { return o.GetName() == model }) {
			found = append(found, nodeOf(info))
		}
	}
	return found, nil
}
