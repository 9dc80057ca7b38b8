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
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

func writeKey(t *testing.T, change func(map[string]any)) (string, ed25519.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := map[string]any{
		"kty": "OKP", "crv": "Ed25519", "kid": "client-1", "principal": "client", "roles": []string{"client"},
		"x": base64.RawURLEncoding.EncodeToString(public), "d": base64.RawURLEncoding.EncodeToString(private.Seed()),
	}
	if change != nil {
		change(file)
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "client.key.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, public
}

func claimsOf(t *testing.T, token string, key ed25519.PublicKey) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		t.Fatal("not signed by the key", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestKeyFile(t *testing.T) {
	path, public := writeKey(t, nil)
	source, err := KeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	token, err := source.Token(ctx, "127.0.0.1:50050")
	if err != nil {
		t.Fatal(err)
	}
	claims := claimsOf(t, token, public)
	left := time.Until(time.Unix(int64(claims["exp"].(float64)), 0))
	if claims["sub"] != "client" || claims["aud"] != "127.0.0.1:50050" || left < 4*time.Minute || left > 5*time.Minute {
		t.Error(claims)
	}
	if again, _ := source.Token(ctx, "127.0.0.1:50050"); again != token {
		t.Error("a token that is good is used again")
	}
	if other, _ := source.Token(ctx, "127.0.0.1:50051"); claimsOf(t, other, public)["aud"] != "127.0.0.1:50051" {
		t.Error("each server has a token of its own")
	}
	// A server whose clock is an hour ahead.
	ahead := newError(ReasonCredentialsExpired, "").with("server_time_ms", jsonNumber(time.Now().Add(time.Hour).UnixMilli()))
	source.(refreshable).refused("127.0.0.1:50050", ahead)
	token, _ = source.Token(ctx, "127.0.0.1:50050")
	left = time.Until(time.Unix(int64(claimsOf(t, token, public)["exp"].(float64)), 0))
	if left < time.Hour {
		t.Error("the clock is corrected", left)
	}
	for what, change := range map[string]func(map[string]any){
		"public":           func(f map[string]any) { delete(f, "d") },
		"of another curve": func(f map[string]any) { f["crv"] = "Ed448" },
		"nobody's":         func(f map[string]any) { delete(f, "principal") },
		"two keys":         func(f map[string]any) { f["x"] = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
	} {
		path, _ := writeKey(t, change)
		if _, err := KeyFile(path); FromError(err).Reason != ReasonInvalidArgument {
			t.Error(what, err)
		}
	}
}

func jsonNumber(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestTokenGoesToTheServersThatItNames(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"aud":["localhost:50050","10.0.0.7:50060"]}`))
	source, err := newFixedToken("h." + payload + ".s\n")
	if err != nil {
		t.Fatal(err)
	}
	for audience, good := range map[string]bool{
		"127.0.0.1:50050": true, "10.0.0.7:50060": true, "10.0.0.7:50061": false, "example.org:50050": false,
	} {
		token, err := source.Token(context.Background(), audience)
		if (err == nil) != good || strings.HasSuffix(token, "\n") {
			t.Error(audience, err)
		}
		if err != nil && FromError(err).Reason != ReasonCredentialsAudience {
			t.Error(err)
		}
	}
	if _, err := newFixedToken("two words"); err == nil {
		t.Error("one token was expected")
	}
}

type infoServer struct {
	pb.UnimplementedHosterServiceServer
	seen chan string
}

func (s *infoServer) RpcInfo(ctx context.Context, _ *pb.InfoRequest) (*pb.InfoResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	s.seen <- strings.Join(md.Get("authorization"), ",")
	return &pb.InfoResponse{}, nil
}

func TestPerRPCCredentialsOfRawStubs(t *testing.T) {
	path, public := writeKey(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, service := grpc.NewServer(), &infoServer{seen: make(chan string, 1)}
	pb.RegisterHosterServiceServer(server, service)
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	creds, err := PerRPCCredentials(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewHosterServiceClient(conn).RpcInfo(context.Background(), &pb.InfoRequest{}); err != nil {
		t.Fatal(err)
	}
	token, is := strings.CutPrefix(<-service.seen, "Bearer ")
	if !is || claimsOf(t, token, public)["aud"] != listener.Addr().String() {
		t.Error(token)
	}
	// Without TLS it is not sent to another machine.
	_, err = (&perRPC{source: creds.(*perRPC).source}).GetRequestMetadata(context.Background(), "https://10.0.0.7/x")
	if err != nil {
		t.Error("what is not known to be plain is gRPC's to judge", err)
	}
	if got := audienceOf("https://Example.org/cabstand.v1.RouterService"); got != "example.org:443" {
		t.Error(got)
	}
}

func TestConfig(t *testing.T) {
	for what, config := range map[string]Config{
		"nobody to ask":   {},
		"no port":         {Routers: []string{"127.0.0.1"}},
		"two credentials": {Routers: []string{"127.0.0.1:1"}, Token: "a", KeyFile: "b"},
		"no such key":     {Routers: []string{"127.0.0.1:1"}, KeyFile: filepath.Join(t.TempDir(), "none")},
		"sizes":           {Routers: []string{"127.0.0.1:1"}, MaxRecvMsgSize: -1},
	} {
		if _, err := Dial(config); FromError(err) == nil || FromError(err).Reason != ReasonInvalidArgument {
			t.Error(what, err)
		}
	}
	client, err := Dial(Config{Routers: []string{"127.0.0.1:1"}, Backoff: Backoff{Attempts: 2, Initial: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range client.Run(context.Background(), "g2p", Prompt("a")) {
		if FromError(err).Reason != ReasonRouterUnreachable {
			t.Error(err)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Session(context.Background(), "g2p"); FromError(err).Reason != ReasonCancelled {
		t.Error(err)
	}
}

func TestTensors(t *testing.T) {
	tensor := NewTensor("audio", []int16{1, -2, 3, 4}, 2, 2)
	if values, err := Values[int16](tensor); err != nil || values[1] != -2 || len(tensor.Data) != 8 {
		t.Error(values, err)
	}
	if _, err := Values[float32](tensor); FromError(err).Reason != ReasonInputDtype {
		t.Error(err)
	}
	bad := tensor
	bad.Shape = []int64{3, 2}
	if _, err := bad.toWire(); err == nil || err.Reason != ReasonInputBytes {
		t.Error(err)
	}
	bad.Shape = []int64{1 << 40, 1 << 40}
	if _, err := bad.toWire(); err == nil || err.Reason != ReasonInputShape {
		t.Error(err)
	}
	if wire, err := NewStrings("word", []string{"a", "b"}).toWire(); err != nil || wire.GetShape()[0] != 2 {
		t.Error(wire, err)
	}
	if flags, err := Values[bool](NewTensor("on", []bool{true, false})); err != nil || !flags[0] || flags[1] {
		t.Error(flags, err)
	}
}
