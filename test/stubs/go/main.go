// Asks a subnet with stubs that were just made of proto/, beside the packages that hold google.rpc,
// grpc.health.v1 and reflection for everybody else: a definition that is registered twice ends a program here
// before its first line.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	cabstandv1 "stubs/gen/go/cabstand/v1"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: stubs ROUTER TOKEN")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Args[2])
	if err := ask(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func ask(ctx context.Context, address string) error {
	connection, err := dial(address)
	if err != nil {
		return err
	}
	defer connection.Close()
	router := cabstandv1.NewRouterServiceClient(connection)

	_, err = router.RpcAcquire(ctx, &cabstandv1.AcquireRequest{Model: "nobody-has-this"})
	if reason := reasonOf(err); reason != "MODEL_UNKNOWN" {
		return fmt.Errorf("an unknown model: got %q (%v), expected MODEL_UNKNOWN", reason, err)
	}
	found, err := router.RpcAcquire(ctx, &cabstandv1.AcquireRequest{Model: "g2p"})
	if err != nil {
		return err
	}
	return stream(ctx, found.GetLease())
}

func stream(ctx context.Context, lease *cabstandv1.Lease) error {
	connection, err := dial(lease.GetNode().GetAddress())
	if err != nil {
		return err
	}
	defer connection.Close()
	name := &health.HealthCheckRequest{Service: cabstandv1.HosterService_ServiceDesc.ServiceName}
	checked, err := health.NewHealthClient(connection).Check(ctx, name)
	if err != nil {
		return err
	}
	if checked.GetStatus() != health.HealthCheckResponse_SERVING {
		return fmt.Errorf("health: %v", checked)
	}
	// A use of the package is what links it.
	_ = reflection.NewServerReflectionClient(connection)

	request := &cabstandv1.InferenceStreamRequest{Model: "g2p", Prompt: "tokenizer", Ticket: lease.GetTicket()}
	answers, err := cabstandv1.NewHosterServiceClient(connection).RpcInferenceStream(ctx, request)
	if err != nil {
		return err
	}
	text := ""
	var end *cabstandv1.EndOfTurn
	for position := int64(0); ; {
		answer, err := answers.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		record := answer.GetRecord()
		if record == nil {
			continue
		}
		if record.GetPosition() != position {
			return fmt.Errorf("got position %d, expected %d", record.GetPosition(), position)
		}
		position++
		text += record.GetChunk().GetText()
		if record.GetEndOfTurn() != nil {
			end = record.GetEndOfTurn()
		}
	}
	if end.GetReason() != cabstandv1.EndReason_END_REASON_COMPLETED {
		return fmt.Errorf("the turn ended: %v", end)
	}
	fmt.Println(text)
	return nil
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// reasonOf is what Cabstand says of a refusal; empty where it says nothing.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "cabstand" {
			return info.GetReason()
		}
	}
	return ""
}
