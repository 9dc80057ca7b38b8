package cabstand

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// SignRequests signs each request with the key of a file, for programs with generated stubs of their own. Nothing
// that is sent can be used again:
//
//	sign, err := cabstand.SignRequests("keys/client.key.json")
//	conn, err := grpc.NewClient(address, append(sign, grpc.WithTransportCredentials(tls))...)
//
// The server that is called is the one of the connection's target, which has to be host:port as the server knows it.
func SignRequests(keyFile string) ([]grpc.DialOption, error) {
	signer, err := newRequestSigner(keyFile)
	if err != nil {
		return nil, err
	}
	return signer.dialOptions(""), nil
}

// requestSigner signs requests with one's own key.
type requestSigner struct {
	key memberKey
	// Nil where answers are not verified.
	servers *serverKeys

	mu sync.Mutex
	// Of clocks of servers beyond this one, by address.
	offsets map[string]time.Duration
}

const mostServers = 1024

func newRequestSigner(keyFile string) (*requestSigner, error) {
	key, err := readMemberKey(keyFile)
	if err != nil {
		return nil, err
	}
	return &requestSigner{key: key, offsets: map[string]time.Duration{}}, nil
}

// refused takes the time of a server whose clock this one is not with. The next signature is another one anyway.
func (s *requestSigner) refused(audience string, err *Error) {
	offset, told := clockOf(err)
	if !told {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.offsets) >= mostServers {
		clear(s.offsets)
	}
	s.offsets[audience] = offset
}

// streamBody stands for the digest of a call that streams its requests.
const streamBody = "STREAM"

func bodyDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// sign adds the headers of a request to a context. `digest` is that of the message as it is sent.
func (s *requestSigner) sign(ctx context.Context, method, audience, digest string) (context.Context, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, newError(ReasonInternal, "no randomness: %v", err)
	}
	s.mu.Lock()
	now := time.Now().Add(s.offsets[audience])
	s.mu.Unlock()
	return metadata.AppendToOutgoingContext(ctx,
		s.headers(method, audience, now, base64.RawURLEncoding.EncodeToString(nonce), digest)...), nil
}

// headers gives names and values by turns.
func (s *requestSigner) headers(method, audience string, now time.Time, nonce, digest string) []string {
	timestamp := strconv.FormatInt(now.UnixMilli(), 10)
	text := strings.Join([]string{"cabstand-request-v1", s.key.kid, method, audience, timestamp, nonce, digest}, "\n")
	return []string{
		"cabstand-key-id", s.key.kid,
		"cabstand-audience", audience,
		"cabstand-timestamp", timestamp,
		"cabstand-nonce", nonce,
		"cabstand-signature", base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.key.key, []byte(text))),
	}
}

// dialOptions sign all calls of a connection to an address; empty for that of the connection's target.
func (s *requestSigner) dialOptions(address string) []grpc.DialOption {
	audience := func(conn *grpc.ClientConn) string {
		if address != "" {
			return address
		}
		return endpointOf(conn.Target())
	}
	unary := func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		body, err := freeze(request)
		if err != nil {
			return err
		}
		if ctx, err = s.sign(ctx, method, audience(conn), bodyDigest(body)); err != nil {
			return err
		}
		options = append(options, grpc.ForceCodec(frozenCodec{}))
		if s.servers == nil {
			return invoke(ctx, method, body, reply, conn, options...)
		}
		var headers metadata.MD
		if err := invoke(ctx, method, body, reply, conn, append(options, grpc.Header(&headers))...); err != nil {
			return err
		}
		if bad := s.servers.verify(method, nonceOf(ctx), headers); bad != nil {
			return bad
		}
		return nil
	}
	proven := func(ctx context.Context, method string, stream grpc.ClientStream, err error) (grpc.ClientStream, error) {
		if err != nil || s.servers == nil {
			return stream, err
		}
		return &provenStream{ClientStream: stream, servers: s.servers, method: method, nonce: nonceOf(ctx)}, nil
	}
	stream := func(ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		if description.ClientStreams {
			ctx, err := s.sign(ctx, method, audience(conn), streamBody)
			if err != nil {
				return nil, err
			}
			stream, err := open(ctx, description, conn, method, options...)
			return proven(ctx, method, stream, err)
		}
		// The headers say what the message is, which the stub gives after it has opened the stream.
		return &unopened{ctx: ctx, open: func(body frozen) (grpc.ClientStream, error) {
			ctx, err := s.sign(ctx, method, audience(conn), bodyDigest(body))
			if err != nil {
				return nil, err
			}
			stream, err := open(ctx, description, conn, method, append(options, grpc.ForceCodec(frozenCodec{}))...)
			return proven(ctx, method, stream, err)
		}}, nil
	}
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(unary), grpc.WithChainStreamInterceptor(stream)}
}

// endpointOf gives host:port of a target, which may name a resolver: dns:///host:port.
func endpointOf(target string) string {
	if _, rest, is := strings.Cut(target, "://"); is {
		_, target, _ = strings.Cut(rest, "/")
	}
	return strings.ToLower(target)
}

// unopened is a stream that opens with its only request.
type unopened struct {
	grpc.ClientStream
	ctx  context.Context
	open func(frozen) (grpc.ClientStream, error)
}

func (u *unopened) SendMsg(message any) error {
	body, err := freeze(message)
	if err != nil {
		return err
	}
	if u.ClientStream, err = u.open(body); err != nil {
		return err
	}
	return u.ClientStream.SendMsg(body)
}

func (u *unopened) Context() context.Context {
	if u.ClientStream == nil {
		return u.ctx
	}
	return u.ClientStream.Context()
}

// frozen is a message as it is sent: protobuf does not promise the same bytes twice.
type frozen []byte

func freeze(message any) (frozen, error) {
	known, is := message.(proto.Message)
	if !is {
		return nil, newError(ReasonInvalidArgument, "%T is no message that can be signed", message)
	}
	body, err := proto.Marshal(known)
	if err != nil {
		return nil, newError(ReasonInvalidArgument, "the request cannot be sent: %v", err).because(err)
	}
	return body, nil
}

// frozenCodec sends frozen messages as they are.
type frozenCodec struct{}

func (frozenCodec) Name() string { return "proto" }

func (frozenCodec) Marshal(message any) ([]byte, error) {
	body, is := message.(frozen)
	if !is {
		return nil, fmt.Errorf("%T was not signed", message)
	}
	return body, nil
}

func (frozenCodec) Unmarshal(data []byte, into any) error {
	message, is := into.(proto.Message)
	if !is {
		return fmt.Errorf("%T is no message", into)
	}
	return proto.Unmarshal(data, message)
}
