package cabstand

import (
	"context"
	"time"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// moving takes a session off a hoster that wants to go, while it still streams: a place elsewhere first, then the
// handover. The old hoster stops at a step boundary and ends its stream with the state; another one goes on from
// there, so nothing is computed twice. Guarded by the session's mutex.
type moving struct {
	s     *Session
	home  node
	until time.Time
	// Ends the search for a place; nil where none is under way.
	cancel context.CancelFunc
	// Where it goes, once the old hoster was told: there is no way back.
	to     *place
	record chan struct{}
}

// How long a handover waits for a record: directly behind one, its time is not felt.
const handoverWait = 50 * time.Millisecond

// begin: the hoster of the turn that runs wants to go.
func (m *moving) begin(s *Session, deadline time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.s, m.home, m.until = s, s.stream.node, time.Now().Add(deadline)
	m.start()
}

// turnBegan: one before may have been too short to move it.
func (m *moving) turnBegan(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.s != nil && m.home == s.stream.node {
		m.start()
	}
}

func (m *moving) start() {
	left := time.Until(m.until)
	if m.cancel != nil || left <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(m.s.ctx, left)
	m.cancel = cancel
	m.record = make(chan struct{}, 1)
	s, from := m.s, m.s.stream
	go m.run(ctx, s, from, m.record, placeRequest{
		model: s.model, digest: s.digest, sessionID: s.id, resume: true, avoid: []node{from.node},
	})
}

func (m *moving) run(ctx context.Context, s *Session, from *stream, record chan struct{}, request placeRequest) {
	for attempt := 0; ; attempt++ {
		found, _ := s.client.routers.places(ctx, request)
		for _, place := range found {
			if place.address == from.node.address {
				continue
			}
			if conn, err := s.client.conns.to(place.address); err == nil {
				conn.Connect()
			}
			select {
			case <-record:
			case <-time.After(handoverWait):
			}
			s.mu.Lock()
			if ctx.Err() == nil && s.stream == from {
				m.to = &place
				from.send(&pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Handover{Handover: &pb.Handover{}}})
			}
			s.mu.Unlock()
			return
		}
		if sleep(ctx, max(10*time.Millisecond, s.client.config.Backoff.pause(attempt))) != nil {
			return
		}
	}
}

func (m *moving) recordArrived() {
	if m.record == nil {
		return
	}
	select {
	case m.record <- struct{}{}:
	default:
	}
}

// take gives the place of a session that was handed over; nil where it was not.
func (m *moving) take() *place {
	if m.s == nil {
		return nil
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.cancel != nil {
		m.cancel()
	}
	to := m.to
	m.cancel, m.to, m.record = nil, nil, nil
	return to
}

// drop answers whether the session was handed over, and nobody follows.
func (m *moving) drop() bool { return m.take() != nil }
