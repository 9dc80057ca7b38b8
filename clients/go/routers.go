package cabstand

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// node is one process of a hoster. An empty incarnation stands for any: one known by address only.
type node struct {
	id, incarnation, address string
}

func nodeOf(info *pb.NodeInfo) node {
	return node{info.GetNodeId(), info.GetIncarnation(), strings.ToLower(info.GetAddress())}
}

// place is where a session may go.
type place struct {
	node
	lease, ticket string
}

type placeRequest struct {
	model, digest, sessionID string
	resume                   bool
	// Left for others where there are any.
	avoid []node
}

const (
	// A hoster that failed is avoided for so long while others will do.
	failedFor = 30 * time.Second
	// The same for one that had no room.
	fullFor = time.Second
	// A router that failed is asked last for so long.
	routerFailedFor = 5 * time.Second
	mostExcluded    = 64
	mostKnown       = 1000
)

// routers knows where sessions can go: any router answers. What routers said last is used while none does.
type routers struct {
	conns   *connections
	routers []string
	hosters []string
	acquire time.Duration

	mu        sync.Mutex
	preferred int
	troubled  map[string]time.Time
	excluded  map[node]time.Time
	// Hosters that routers have named, with their models.
	known map[string]knownNode
}

type knownNode struct {
	node
	digests map[string]string
}

func newRouters(config Config, conns *connections) *routers {
	r := &routers{
		conns: conns, routers: config.Routers, hosters: config.Hosters, acquire: config.Timeouts.Acquire,
		troubled: map[string]time.Time{}, excluded: map[node]time.Time{}, known: map[string]knownNode{},
	}
	// Clients that were given the same list do not all start at its head.
	if len(r.routers) > 0 {
		r.preferred = rand.IntN(len(r.routers))
	}
	return r
}

// order gives the one that answered last first, those that just failed last.
func (r *routers) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(slices.Clone(r.routers[r.preferred:]), r.routers[:r.preferred]...)
	now := time.Now()
	trouble := func(address string) int { return boolInt(r.troubled[address].After(now)) }
	slices.SortStableFunc(all, func(a, b string) int { return trouble(a) - trouble(b) })
	return all
}

func boolInt(is bool) int {
	if is {
		return 1
	}
	return 0
}

// ask asks one router after the other. One that cannot be reached leads to the next, and so does one that knows
// nobody: it may have just started.
func ask[T any](
	ctx context.Context, r *routers, call func(context.Context, pb.RouterServiceClient) (T, error),
) (T, error) {
	var none T
	var refusal, failure *Error
	for _, address := range r.order() {
		answer, err := unary(ctx, r.conns, address, r.acquire,
			func(ctx context.Context, conn grpc.ClientConnInterface) (T, error) {
				return call(ctx, pb.NewRouterServiceClient(conn))
			})
		if err == nil {
			r.answered(address)
			return answer, nil
		}
		if ctx.Err() != nil {
			return none, ended(ctx)
		}
		failed := FromError(err)
		switch {
		case failed.Class == ClassNode:
			r.mu.Lock()
			r.troubled[address] = time.Now().Add(routerFailedFor)
			r.mu.Unlock()
			if failure == nil {
				failure = failed
			}
		case failed.Reason == ReasonNoNode || failed.Reason == ReasonModelUnknown || failed.Reason == ReasonNodeUnknown:
			r.answered(address)
			if refusal == nil {
				refusal = failed
			}
		default:
			return none, failed
		}
	}
	if refusal != nil {
		return none, refusal
	}
	unreachable := newError(ReasonRouterUnreachable, "no router answers (%s)", strings.Join(r.routers, ", "))
	if failure != nil {
		unreachable.Message += ": " + failure.Message
		unreachable.Cause = failure
	}
	return none, unreachable
}

func (r *routers) answered(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.troubled, address)
	if i := slices.Index(r.routers, address); i >= 0 {
		r.preferred = i
	}
}

// places gives hosters for a session, best first. Errors: NO_NODE, MODEL_UNKNOWN, ROUTER_UNREACHABLE.
func (r *routers) places(ctx context.Context, request placeRequest) ([]place, *Error) {
	if len(r.routers) == 0 {
		return r.fromList(request), nil
	}
	excluded := r.excludedNow()
	// Where nobody is left, one that failed before is better than none.
	tiers := [][]node{append(slices.Clone(request.avoid), excluded...), request.avoid, nil}
	var last *Error
	for i, out := range tiers {
		if i > 0 && len(out) == len(tiers[i-1]) {
			continue
		}
		found, err := r.fromRouter(ctx, request, out)
		if err == nil {
			return found, nil
		}
		last = err
		if err.Reason == ReasonRouterUnreachable {
			if cached := r.fromKnown(request); len(cached) > 0 {
				return cached, nil
			}
		}
		if err.Reason != ReasonNoNode {
			return nil, err
		}
	}
	return nil, last
}

func (r *routers) fromRouter(ctx context.Context, request placeRequest, out []node) ([]place, *Error) {
	wire := &pb.AcquireRequest{
		Model: request.model, Digest: request.digest, Resume: request.resume, SessionId: request.sessionID,
	}
	for _, one := range out[:min(len(out), mostExcluded)] {
		wire.Exclude = append(wire.Exclude, &pb.NodeRef{NodeId: one.id, Incarnation: one.incarnation})
	}
	answer, err := ask(ctx, r, func(ctx context.Context, router pb.RouterServiceClient) (*pb.AcquireResponse, error) {
		return router.RpcAcquire(ctx, wire)
	})
	if err != nil {
		return nil, FromError(err)
	}
	lease := answer.GetLease()
	if lease.GetNode().GetAddress() == "" {
		return nil, newError(ReasonNoNode, "the router gave no hoster and no reason")
	}
	r.remember(append(slices.Clone(answer.GetAlternatives()), lease.GetNode()))
	found := []place{{nodeOf(lease.GetNode()), lease.GetLeaseId(), lease.GetTicket()}}
	for _, info := range answer.GetAlternatives() {
		if one := nodeOf(info); one.address != "" && !r.isExcluded(one) {
			found = append(found, place{node: one})
		}
	}
	return found, nil
}

func (r *routers) remember(infos []*pb.NodeInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, info := range infos {
		if len(r.known) >= mostKnown {
			clear(r.known)
		}
		digests := map[string]string{}
		for _, model := range info.GetModels() {
			digests[model.GetName()] = model.GetDigest()
		}
		one := nodeOf(info)
		r.known[one.address] = knownNode{one, digests}
	}
}

// fromKnown is for when no router answers.
func (r *routers) fromKnown(request placeRequest) []place {
	r.mu.Lock()
	var all []node
	for _, one := range r.known {
		digest, has := one.digests[request.model]
		if has && (request.digest == "" || request.digest == digest) {
			all = append(all, node{one.id, "", one.address})
		}
	}
	r.mu.Unlock()
	return r.ranked(all, request)
}

func (r *routers) fromList(request placeRequest) []place {
	var all []node
	for _, address := range r.hosters {
		all = append(all, node{id: address, address: address})
	}
	return r.ranked(all, request)
}

func (r *routers) ranked(all []node, request placeRequest) []place {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	trouble := func(one node) int {
		left := slices.ContainsFunc(request.avoid, func(o node) bool { return o.address == one.address })
		return boolInt(r.isExcluded(one)) + 2*boolInt(left)
	}
	slices.SortStableFunc(all, func(a, b node) int { return trouble(a) - trouble(b) })
	var found []place
	for _, one := range all {
		found = append(found, place{node: one})
	}
	return found
}

func (r *routers) excludedNow() []node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var now []node
	for one, until := range r.excluded {
		if time.Now().Before(until) {
			now = append(now, one)
		} else {
			delete(r.excluded, one)
		}
	}
	return now
}

func (r *routers) isExcluded(one node) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for other, until := range r.excluded {
		same := other.address == one.address &&
			(other.incarnation == one.incarnation || one.incarnation == "" || other.incarnation == "")
		if same && time.Now().Before(until) {
			return true
		}
	}
	return false
}

func (r *routers) served(at node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.excluded, at)
}

// refused: it had no room, or not this. Nobody is blamed.
func (r *routers) refused(at node, err *Error) {
	r.exclude(at, max(fullFor, err.RetryAfter))
}

// failed: the node is avoided, and a router is told, which looks for itself.
func (r *routers) failed(at node, lease string, err *Error) {
	r.exclude(at, failedFor)
	if len(r.routers) == 0 || at.incarnation == "" {
		return
	}
	report := &pb.ReportRequest{
		NodeId: at.id, Incarnation: at.incarnation, LeaseId: lease,
		Reason: string(err.Reason), Message: strings.ToValidUTF8(err.Message[:min(len(err.Message), 500)], ""),
	}
	go func() {
		// Evidence is worth one try.
		_, _ = unary(context.Background(), r.conns, r.order()[0], r.acquire,
			func(ctx context.Context, conn grpc.ClientConnInterface) (*pb.ReportResponse, error) {
				return pb.NewRouterServiceClient(conn).RpcReport(ctx, report)
			})
	}()
}

func (r *routers) exclude(at node, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.excluded) >= mostKnown {
		clear(r.excluded)
	}
	if until := time.Now().Add(d); until.After(r.excluded[at]) {
		r.excluded[at] = until
	}
}
