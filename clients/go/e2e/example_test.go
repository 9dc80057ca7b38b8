package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/cabstand/cabstand-go"
	"github.com/cabstand/cabstand-go/internal/subnet"
	pb "github.com/cabstand/cabstand-go/proto/cabstand/v1"
)

// What the examples of README.md find in their environment.
func environment(s *subnet.Subnet) []string {
	return append(os.Environ(), "CABSTAND_ROUTERS="+strings.Join(s.Routers, ","), "CABSTAND_KEY="+s.Key,
		"GOFLAGS=-mod=mod", "GOWORK=off")
}

// programs builds and runs each program of README.md in an empty project that has this module from its files,
// and one with nothing but generated stubs and the credentials.
func programs(t *testing.T, s *subnet.Subnet) {
	module := filepath.Join(subnet.Root(), "clients/go")
	readme, err := os.ReadFile(filepath.Join(module, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```go\n(package main.*?)```\n\n```text\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(programs) != 3 {
		t.Fatalf("%d programs in README.md", len(programs))
	}
	folder := t.TempDir()
	do := func(program string, args ...string) string {
		command := exec.Command(program, args...)
		command.Dir, command.Env = folder, environment(s)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	do("go", "mod", "init", "example.org/user")
	do("go", "mod", "edit", "-require=github.com/cabstand/cabstand-go@v0.0.0", "-replace=github.com/cabstand/cabstand-go="+module)
	for i, program := range programs {
		file := filepath.Join(folder, fmt.Sprintf("program%d.go", i))
		if err := os.WriteFile(file, []byte(program[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := do("go", "run", file), program[2]; got != want {
			t.Errorf("program %d printed\n%snot\n%s", i, got, want)
		}
	}
}

// Raw stubs, with the credentials of this package: tokens, or signatures.
func rawStubs(t *testing.T, s *subnet.Subnet) {
	creds, err := cabstand.PerRPCCredentials(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	sign, err := cabstand.SignRequests(s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("tokens", func(t *testing.T) { callRaw(t, s, []grpc.DialOption{grpc.WithPerRPCCredentials(creds)}) })
	t.Run("signatures", func(t *testing.T) { callRaw(t, s, sign) })
}

func callRaw(t *testing.T, s *subnet.Subnet, who []grpc.DialOption) {
	dial := func(address string) *grpc.ClientConn {
		conn, err := grpc.NewClient(address, append(who, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	router := pb.NewRouterServiceClient(dial(s.Routers[0]))
	lease, err := router.RpcAcquire(ctx, &pb.AcquireRequest{Model: "g2p"})
	// On a busy machine a router may have missed heartbeats; it says how long to wait.
	for err != nil && cabstand.FromError(err).Reason == cabstand.ReasonNoNode && ctx.Err() == nil {
		time.Sleep(max(cabstand.FromError(err).RetryAfter, 100*time.Millisecond))
		lease, err = router.RpcAcquire(ctx, &pb.AcquireRequest{Model: "g2p"})
	}
	if err != nil {
		t.Fatal(err)
	}
	hoster := pb.NewHosterServiceClient(dial(lease.GetLease().GetNode().GetAddress()))
	stream, err := hoster.RpcInferenceStream(ctx, &pb.InferenceStreamRequest{
		Model: "g2p", Prompt: "tokenizer", Ticket: lease.GetLease().GetTicket(),
	})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for {
		event, err := stream.Recv()
		if err != nil {
			break
		}
		text += event.GetRecord().GetChunk().GetText()
	}
	if text != "T OW1 K AH0 N AY2 Z ER0" {
		t.Errorf("%q", text)
	}
	_, err = router.RpcAcquire(ctx, &pb.AcquireRequest{Model: "no-such-model"})
	var failed *cabstand.Error
	if !errors.As(error(cabstand.FromError(err)), &failed) || failed.Reason != cabstand.ReasonModelUnknown {
		t.Error(err)
	}
}
