// Package cabstand streams from models that Cabstand serves, and goes on when hosters die.
//
// A [Client] knows the routers of a subnet. A [Session] is a model's state over several turns; it is durable unless
// [WithDurable] says otherwise: when its hoster is killed, drained or cut off, its stream goes on at another one,
// and the loop over its chunks notices nothing but time. Every chunk comes once, in order.
//
//	client, err := cabstand.Dial(cabstand.Config{
//		Routers: []string{"router.example.org:50050"},
//		KeyFile: "keys/client.key.json",
//		TLS:     &tls.Config{RootCAs: pool},
//	})
//	session, err := client.Session(ctx, "silero-vad")
//	defer session.Close()
//	for chunk, err := range session.Run(ctx, cabstand.Tensors(cabstand.NewTensor("audio", samples))) {
//		if err != nil {
//			return err
//		}
//		speech, err := cabstand.Values[float32](chunk.Output("speech_probability"))
//		…
//	}
//
// # Errors
//
// Every error is an [Error]: read Reason with [errors.As], and act on it, or on its Class. What can be mended by
// another attempt was: an error means that the turn is over. Errors of contexts are found by [errors.Is].
//
// # Contexts
//
// The context of [Session.Run] is that of the turn. Where it ends, or the loop is left, the turn is cancelled at its
// hoster and the session can begin another one. A session ends by [Session.Close].
//
// # Generated stubs
//
// The messages and stubs are in [github.com/cabstand/cabstand-go/proto/cabstand/v1]. A program that calls them
// itself needs [PerRPCCredentials], or [SignRequests], and [FromError] of this package only.
package cabstand
