package cabstand

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// signedAnswers makes a server sign what it answers as `as`; with another nonce than the request's where it repeats an
// older answer.
func signedAnswers(as string, key ed25519.PrivateKey, stale bool) func(ctx context.Context, method string) metadata.MD {
	return func(ctx context.Context, method string) metadata.MD {
		sent, _ := metadata.FromIncomingContext(ctx)
		nonce := strings.Join(sent.Get("cabstand-nonce"), "")
		if stale {
			nonce = "AAAAAAAAAAAAAAAAAAAAAA"
		}
		text := strings.Join([]string{"cabstand-response-v1", as, method, nonce, "1"}, "\n")
		return metadata.Pairs("cabstand-response-key-id", as, "cabstand-response-timestamp", "1",
			"cabstand-response-signature", base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text))))
	}
}

func TestVerifyServers(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	_, strange, _ := ed25519.GenerateKey(nil)
	past := time.Now().Add(-time.Hour)
	entry := func(kid, role string, more map[string]any) map[string]any {
		made := map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": kid, "principal": kid, "roles": []string{role},
			"x": base64.RawURLEncoding.EncodeToString(public)}
		for name, value := range more {
			made[name] = value
		}
		return made
	}
	text, _ := json.Marshal(map[string]any{"keys": []any{
		entry("hoster-1", "hoster", nil), entry("client-2", "client", nil), entry("old", "hoster", map[string]any{"not_after": past}),
	}})
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, text, 0o600); err != nil {
		t.Fatal(err)
	}
	own, _ := writeKey(t, nil)
	for _, c := range []struct {
		what    string
		headers func(context.Context, string) metadata.MD
		problem string
		good    bool
	}{
		{"a hoster's", signedAnswers("hoster-1", private, false), "", true},
		{"nobody's", func(context.Context, string) metadata.MD { return nil }, "unsigned", false},
		{"a stranger's", signedAnswers("hoster-1", strange, false), "", false},
		{"an unknown server's", signedAnswers("hoster-2", strange, false), "keys_outdated", false},
		{"a client's", signedAnswers("client-2", private, false), "", false},
		{"one of a retired key", signedAnswers("old", private, false), "key_retired", false},
		{"an older answer", signedAnswers("hoster-1", private, true), "", false},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer(
			grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				_ = grpc.SetHeader(ctx, c.headers(ctx, info.FullMethod))
				return next(ctx, in)
			}),
			grpc.StreamInterceptor(func(service any, call grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				_ = call.SetHeader(c.headers(call.Context(), info.FullMethod))
				return next(service, call)
			}),
		)
		h := &hosterOfAnother{runs: true}
		pb.RegisterHosterServiceServer(server, h)
		go func() { _ = server.Serve(listener) }()
		client, err := Dial(Config{
			Hosters: []string{listener.Addr().String()}, KeyFile: own, SignRequests: true, VerifyServers: keys,
			Timeouts: Timeouts{Reattach: 10 * time.Second, Recover: 50 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		session, err := client.Attach(context.Background(), "theirs", "m")
		switch {
		case c.good && err != nil:
			t.Error(c.what, err)
		case c.good:
			// The stream is verified, too.
			if got := rest(t, session); len(got) != 2 {
				t.Error(c.what, got)
			}
		case err == nil || FromError(err).Reason != ReasonNodeBadReply || FromError(err).Metadata["problem"] != c.problem:
			t.Error(c.what, err)
		}
		stream := openStream(context.Background(), client.conns, node{address: listener.Addr().String()},
			&pb.SessionStreamRequest{Message: &pb.SessionStreamRequest_Attach{Attach: &pb.Attach{SessionId: "theirs"}}})
		if _, bad := stream.await(context.Background(), time.Minute, "nothing", nil); (bad == nil) != c.good {
			t.Error(c.what, "on a stream:", bad)
		}
		stream.cancel(nil)
		_ = client.Close()
		server.Stop()
	}
	for _, config := range []Config{
		{Hosters: []string{"a:1"}, KeyFile: own, VerifyServers: keys},
		{Hosters: []string{"a:1"}, KeyFile: own, SignRequests: true, VerifyServers: own + ".not"},
		{Hosters: []string{"a:1"}, KeyFile: own, SignRequests: true, VerifyServers: own},
	} {
		if _, err := Dial(config); err == nil || FromError(err).Metadata["field"] != "VerifyServers" {
			t.Error(config.VerifyServers, err)
		}
	}
}
