package cabstand

import (
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// Config says how to reach a subnet. Routers or Hosters are needed; everything else has a default.
type Config struct {
	// Routers are host:port of routers; any of them will do.
	Routers []string
	// Hosters are host:port of hosters, to go without a router.
	Hosters []string

	// At most one of these says who calls; none where the subnet takes everybody (auth.mode: none).

	// KeyFile is a private key of `cabstand keys`: the recommended way. A token of five minutes is made for each
	// server.
	KeyFile string
	// SignRequests signs each request with the key of KeyFile instead: nothing that is sent can be used again, so
	// there is no need for TLS to keep it secret, and streams end with the key only.
	SignRequests bool
	// VerifyServers is a file with the public keys of the subnet (keys.json), read again when it changes: answers that no
	// server in it has signed are refused (NODE_BAD_REPLY). It needs SignRequests.
	VerifyServers string
	// Token is a bearer token, for the servers that it names.
	Token string
	// TokenFile has such a token, and is read again.
	TokenFile string
	// TokenSource gives a token for each call.
	TokenSource TokenSource
	// PlaintextTokens lets tokens go to other machines without TLS.
	PlaintextTokens bool

	// TLS is used for all servers. Nil: none.
	TLS *tls.Config
	// DialOptions come after those of the client.
	DialOptions []grpc.DialOption
	// MaxRecvMsgSize and MaxSendMsgSize bound one message, in bytes. Default 16 MiB, as hosters have it.
	MaxRecvMsgSize int
	MaxSendMsgSize int

	// Logger is told of retries and failovers. Default: nobody.
	Logger *slog.Logger
	// Backoff says how attempts are spaced.
	Backoff Backoff
	// Timeouts are those of sessions; options of a session may say otherwise.
	Timeouts Timeouts
}

// Timeouts say how long to wait for what. Zero values stand for the defaults; a negative one for no limit.
type Timeouts struct {
	// Acquire is for one call to one router. Default 5 s.
	Acquire time.Duration
	// First is from sending a turn to its first record on one hoster; a notice starts it anew. Default 10 s.
	First time.Duration
	// Stall is between two records, while the application waits for one. Default 10 s, or five times the longest
	// wait so far. In a live turn it runs after CloseSend, or while Send waits for the hoster.
	Stall time.Duration
	// Place is for a session's first record, all hosters and pauses included. Default 30 s.
	Place time.Duration
	// Recover is how long a durable session looks for a hoster to go on with. Default 30 s.
	Recover time.Duration
	// Reattach is how long the hoster of a broken stream has to take the session up again. Default 300 ms.
	Reattach time.Duration
	// Close is for goodbyes. Default 2 s.
	Close time.Duration
	// Send is how long Send waits for room while nobody reads the chunks. Default 30 s.
	Send time.Duration
}

const forever = time.Duration(1<<63 - 1)

func (t Timeouts) withDefaults(base Timeouts) Timeouts {
	merged := Timeouts{
		Acquire: 5 * time.Second, First: 10 * time.Second, Stall: 10 * time.Second, Place: 30 * time.Second,
		Recover: 30 * time.Second, Reattach: 300 * time.Millisecond, Close: 2 * time.Second, Send: 30 * time.Second,
	}
	for _, given := range []Timeouts{base, t} {
		override(&merged.Acquire, given.Acquire)
		override(&merged.First, given.First)
		override(&merged.Stall, given.Stall)
		override(&merged.Place, given.Place)
		override(&merged.Recover, given.Recover)
		override(&merged.Reattach, given.Reattach)
		override(&merged.Close, given.Close)
		override(&merged.Send, given.Send)
	}
	return merged
}

func override(field *time.Duration, given time.Duration) {
	switch {
	case given > 0:
		*field = given
	case given < 0:
		*field = forever
	}
}

func (c Config) withDefaults() (Config, error) {
	c.Routers, c.Hosters = slices.Clone(c.Routers), slices.Clone(c.Hosters)
	for field, list := range map[string][]string{"Routers": c.Routers, "Hosters": c.Hosters} {
		for i, address := range list {
			host, port, err := net.SplitHostPort(address)
			if err != nil || host == "" || port == "" {
				return c, invalid(field, address, "host:port")
			}
			list[i] = strings.ToLower(address)
		}
	}
	if len(c.Routers)+len(c.Hosters) == 0 {
		return c, invalid("Routers", "empty", "at least one host:port")
	}
	for field, size := range map[string]int{"MaxRecvMsgSize": c.MaxRecvMsgSize, "MaxSendMsgSize": c.MaxSendMsgSize} {
		if size < 0 {
			return c, invalid(field, size, "a number of bytes")
		}
	}
	b := c.Backoff
	if b.Attempts < 0 || b.Initial < 0 || b.Max < 0 || b.Budget < 0 || b.PerSecond < 0 {
		return c, invalid("Backoff", b, "numbers of at least 0")
	}
	set(&c.MaxRecvMsgSize, 16<<20)
	set(&c.MaxSendMsgSize, 16<<20)
	if c.Logger == nil {
		c.Logger = slog.New(discard{})
	}
	c.Backoff = c.Backoff.withDefaults()
	c.Timeouts = c.Timeouts.withDefaults(Timeouts{})
	return c, nil
}

// signer gives what signs requests; nil where tokens, or nothing, are sent.
func (c Config) signer() (*requestSigner, error) {
	if !c.SignRequests {
		if c.VerifyServers != "" {
			return nil, invalid("VerifyServers", c.VerifyServers, "SignRequests: only what is signed is answered with a signature")
		}
		return nil, nil
	}
	signer, err := newRequestSigner(c.KeyFile)
	if err == nil && c.VerifyServers != "" {
		signer.servers, err = newServerKeys(c.VerifyServers)
	}
	if err != nil {
		return nil, err
	}
	return signer, nil
}

// tokens gives the one source of tokens; nil for none.
func (c Config) tokens() (TokenSource, error) {
	given := 0
	for _, is := range []bool{c.KeyFile != "", c.Token != "", c.TokenFile != "", c.TokenSource != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, invalid("credentials", given, "one of KeyFile, Token, TokenFile and TokenSource")
	case c.SignRequests && c.KeyFile == "":
		return nil, invalid("SignRequests", true, "a KeyFile to sign with")
	case c.SignRequests:
		return nil, nil
	case c.KeyFile != "":
		return KeyFile(c.KeyFile)
	case c.Token != "":
		return newFixedToken(c.Token)
	case c.TokenFile != "":
		return &tokenFile{path: c.TokenFile}, nil
	}
	return c.TokenSource, nil
}
