package cabstand

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// What clients of all languages are held to: docs/conformance.md.
func TestSignatureVectors(t *testing.T) {
	text, err := os.ReadFile("../../libs/testing/conformance/signatures.json")
	if err != nil {
		t.Skip("only in the repository")
	}
	var file struct {
		Key      json.RawMessage
		Requests []struct {
			Name, Method, Audience, Nonce, Signature string
			Timestamp                                int64
			Body                                     *string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "client.key.json")
	if err := os.WriteFile(path, file.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := newRequestSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Requests) == 0 {
		t.Fatal("no vectors")
	}
	for _, one := range file.Requests {
		digest := streamBody
		if one.Body != nil {
			body, err := hex.DecodeString(*one.Body)
			if err != nil {
				t.Fatal(err)
			}
			digest = bodyDigest(body)
		}
		got := signer.headers(one.Method, one.Audience, time.UnixMilli(one.Timestamp), one.Nonce, digest)
		if got[len(got)-1] != one.Signature {
			t.Errorf("%s: %s, not %s", one.Name, got[len(got)-1], one.Signature)
		}
	}
}

// A service that checks what is signed, as docs/authentication.md says.
type signedServer struct {
	pb.UnimplementedHosterServiceServer
	key     ed25519.PublicKey
	address string
	nonces  map[string]bool
	wrong   []string
}

func (s *signedServer) check(ctx context.Context, method string, body []byte) {
	md, _ := metadata.FromIncomingContext(ctx)
	of := func(name string) string { return strings.Join(md.Get(name), ",") }
	digest := "STREAM"
	if body != nil {
		sum := sha256.Sum256(body)
		digest = hex.EncodeToString(sum[:])
	}
	text := strings.Join([]string{"cabstand-request-v1", "client-1", "/cabstand.v1.HosterService/" + method, s.address,
		of("cabstand-timestamp"), of("cabstand-nonce"), digest}, "\n")
	signature, err := base64.RawURLEncoding.DecodeString(of("cabstand-signature"))
	switch nonce := of("cabstand-nonce"); {
	case err != nil || !ed25519.Verify(s.key, []byte(text), signature):
		s.wrong = append(s.wrong, method+" is not signed by the key: "+of("cabstand-signature"))
	case s.nonces[nonce]:
		s.wrong = append(s.wrong, method+" used a nonce again")
	case of("cabstand-key-id") != "client-1" || of("cabstand-audience") != s.address:
		s.wrong = append(s.wrong, method+" has other headers")
	case of("authorization") != "":
		s.wrong = append(s.wrong, method+" has a token, too")
	default:
		s.nonces[nonce] = true
	}
}

// rawMessages keeps what a message was on the wire.
type rawMessages struct{ last []byte }

func (*rawMessages) Name() string                  { return "proto" }
func (*rawMessages) Marshal(m any) ([]byte, error) { return freeze(m) }
func (r *rawMessages) Unmarshal(b []byte, m any) error {
	r.last = append([]byte{}, b...)
	return frozenCodec{}.Unmarshal(b, m)
}

func TestSignedRequests(t *testing.T) {
	path, public := writeKey(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw := &rawMessages{}
	service := &signedServer{key: public, address: listener.Addr().String(), nonces: map[string]bool{}}
	answer := func(method string, server grpc.ServerStream, streams bool) error {
		if streams {
			service.check(server.Context(), method, nil)
			return nil
		}
		request := new(pb.InferenceStreamRequest)
		if err := server.RecvMsg(request); err != nil {
			return err
		}
		service.check(server.Context(), method, raw.last)
		return server.SendMsg(&pb.InferenceStreamResponse{})
	}
	server := grpc.NewServer(grpc.ForceServerCodec(raw), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		full, _ := grpc.MethodFromServerStream(stream)
		method := full[strings.LastIndex(full, "/")+1:]
		return answer(method, stream, method == "rpc_session_stream")
	}))
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	sign, err := SignRequests(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, target := range []string{service.address, "dns:///" + service.address, "passthrough:///" + service.address} {
		conn, err := grpc.NewClient(target, append(sign, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		stub := pb.NewHosterServiceClient(conn)
		for range 2 {
			if _, err := stub.RpcSessionStatus(ctx, &pb.SessionStatusRequest{SessionId: "a"}); err != nil {
				t.Error(err)
			}
		}
		// An empty message has a digest of its own.
		if _, err := stub.RpcInfo(ctx, &pb.InfoRequest{}); err != nil {
			t.Error(err)
		}
		records, err := stub.RpcInferenceStream(ctx, &pb.InferenceStreamRequest{Model: "g2p", Prompt: "taxi"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := records.Recv(); err != nil {
			t.Error(err)
		}
		session, err := stub.RpcSessionStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = session.Recv()
		// What cannot be encoded is the caller's own mistake.
		_, err = stub.RpcInferenceStream(ctx, &pb.InferenceStreamRequest{Prompt: "\xff"})
		if FromError(err) == nil || FromError(err).Reason != ReasonInvalidArgument {
			t.Error(err)
		}
		_ = conn.Close()
	}
	if len(service.wrong) > 0 || len(service.nonces) != 15 {
		t.Error(len(service.nonces), service.wrong)
	}
	if _, err := (Config{SignRequests: true, Token: "a"}).tokens(); err == nil {
		t.Error("a token cannot sign")
	}
	// A server whose clock is an hour ahead is told its own time from then on.
	signer, err := newRequestSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(time.Hour)
	signer.refused("a:1", newError(ReasonClockSkew, "").with("server_time_ms", jsonNumber(ahead.UnixMilli())))
	for audience, offset := range map[string]time.Duration{"a:1": time.Hour, "b:1": 0} {
		signed, err := signer.sign(ctx, "/m", audience, streamBody)
		if err != nil {
			t.Fatal(err)
		}
		md, _ := metadata.FromOutgoingContext(signed)
		var ms int64
		if err := json.Unmarshal([]byte(md.Get("cabstand-timestamp")[0]), &ms); err != nil {
			t.Fatal(err)
		}
		if off := time.UnixMilli(ms).Sub(time.Now().Add(offset)); off.Abs() > time.Minute {
			t.Error(audience, off)
		}
	}
}
