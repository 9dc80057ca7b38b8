// When somebody speaks in a recording: client GATEWAY KEY_FILE MODEL RECORDING.wav
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	cabstand "client/gen/go/cabstand/v1"
)

// token is good for one server and five minutes; so long its streams may last.
func token(keyFile, server string) string {
	var key struct {
		Kid, D, Principal string
		Roles             []string
	}
	text, err := os.ReadFile(keyFile)
	check(err)
	check(json.Unmarshal(text, &key))
	seed, err := base64.RawURLEncoding.DecodeString(key.D)
	check(err)
	part := func(claims map[string]any) string {
		text, err := json.Marshal(claims)
		check(err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]any{"alg": "EdDSA", "kid": key.Kid}) + "." + part(map[string]any{
		"sub": key.Principal, "roles": key.Roles, "aud": server, "exp": time.Now().Unix() + 300,
	})
	signature := ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func main() {
	gateway, keyFile, model, recording := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	wav, err := os.ReadFile(recording)
	check(err)
	samples := wav[44:] // 16 bits each, behind the header
	connection, err := grpc.NewClient(gateway,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token(keyFile, gateway))
	stream, err := cabstand.NewHosterServiceClient(connection).RpcInferenceStream(ctx,
		&cabstand.InferenceStreamRequest{Model: model, Inputs: []*cabstand.Tensor{{
			Name: "audio", Dtype: cabstand.DataType_DATA_TYPE_INT16,
			Shape: []int64{int64(len(samples) / 2)}, Data: samples,
		}}})
	check(err)
	for end := (*cabstand.EndOfTurn)(nil); ; {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) && end.GetReason() == cabstand.EndReason_END_REASON_COMPLETED {
			return
		}
		check(err) // io.EOF: the turn was not finished
		if chunk := answer.GetRecord().GetChunk(); chunk != nil {
			speech := math.Float32frombits(binary.LittleEndian.Uint32(chunk.GetOutputs()[0].GetData()))
			fmt.Printf("%d %.4f\n", answer.GetRecord().GetPosition(), speech)
		} else if answer.GetRecord().GetEndOfTurn() != nil {
			end = answer.GetRecord().GetEndOfTurn()
		}
	}
}

func check(err error) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			log.Fatalf("%s: %s", info.GetReason(), status.Convert(err).Message())
		}
	}
	if err != nil {
		log.Fatal(err)
	}
}
