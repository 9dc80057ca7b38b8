package cabstand

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// TokenSource gives a bearer token for a server. `audience` is the host:port that is dialled, in lower case. It
// is asked for each call, by many goroutines: keep what it gives while that is good.
type TokenSource interface {
	Token(ctx context.Context, audience string) (string, error)
}

// TokenFunc is a function that is a [TokenSource].
type TokenFunc func(ctx context.Context, audience string) (string, error)

// Token implements [TokenSource].
func (f TokenFunc) Token(ctx context.Context, audience string) (string, error) {
	return f(ctx, audience)
}

// A source that can be told that a server refused what it gave.
type refreshable interface {
	refused(audience string, err *Error)
}

// How long a token made from a key file is good.
const tokenLifetime = 5 * time.Minute

// memberKey is one's own private key, as `cabstand keys` writes it.
type memberKey struct {
	kid, subject string
	roles        []string
	key          ed25519.PrivateKey
}

// keyTokens makes short-lived tokens from one's own private key, one for each server.
type keyTokens struct {
	memberKey

	mu sync.Mutex
	// Of the servers' clock beyond this one.
	offset time.Duration
	made   map[string]madeToken
}

type madeToken struct {
	text  string
	until time.Time
}

// KeyFile reads a private key as `cabstand keys` writes it (client.key.json). The source makes a token of its own
// for each server, good for five minutes, signed with Ed25519, and renews it in time.
func KeyFile(path string) (TokenSource, error) {
	key, err := readMemberKey(path)
	if err != nil {
		return nil, err
	}
	return &keyTokens{memberKey: key, made: map[string]madeToken{}}, nil
}

func readMemberKey(path string) (memberKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return memberKey{}, invalid("KeyFile", path, "a file that can be read").because(err)
	}
	var file struct {
		Kty       string   `json:"kty"`
		Crv       string   `json:"crv"`
		Kid       string   `json:"kid"`
		D         string   `json:"d"`
		X         string   `json:"x"`
		Principal string   `json:"principal"`
		Roles     []string `json:"roles"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return memberKey{}, invalid("KeyFile", path, "a JSON Web Key as `cabstand keys` makes them").because(err)
	}
	seed, err := base64.RawURLEncoding.DecodeString(file.D)
	if err != nil || len(seed) != ed25519.SeedSize || file.Kty != "OKP" || file.Crv != "Ed25519" {
		return memberKey{}, invalid("KeyFile", path, "a private Ed25519 key with `d`")
	}
	if file.Kid == "" || file.Principal == "" {
		return memberKey{}, invalid("KeyFile", path, "a key with `kid` and `principal`")
	}
	key := ed25519.NewKeyFromSeed(seed)
	if public, ok := key.Public().(ed25519.PublicKey); file.X != "" &&
		(!ok || base64.RawURLEncoding.EncodeToString(public) != file.X) {
		return memberKey{}, invalid("KeyFile", path, "`d` and `x` that belong together")
	}
	return memberKey{kid: file.Kid, subject: file.Principal, roles: file.Roles, key: key}, nil
}

// Token implements [TokenSource].
func (k *keyTokens) Token(_ context.Context, audience string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if made, ok := k.made[audience]; ok && now.Before(made.until) {
		return made.text, nil
	}
	for other, made := range k.made {
		if now.After(made.until) {
			delete(k.made, other)
		}
	}
	text, err := k.sign(audience, now.Add(k.offset+tokenLifetime))
	if err != nil {
		return "", err
	}
	k.made[audience] = madeToken{text, now.Add(tokenLifetime * 3 / 4)}
	return text, nil
}

func (k *keyTokens) sign(audience string, expires time.Time) (string, error) {
	roles := k.roles
	if roles == nil {
		roles = []string{}
	}
	header, err := json.Marshal(map[string]string{"alg": "EdDSA", "typ": "JWT", "kid": k.kid})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{
		"sub": k.subject, "aud": audience, "exp": expires.Unix(), "roles": roles,
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.key, []byte(text))), nil
}

// A correction of the clock by more than this is not believed.
const mostOffset = 24 * time.Hour

func (k *keyTokens) refused(audience string, err *Error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.made, audience)
	if offset, told := clockOf(err); told {
		k.offset = offset
		clear(k.made)
	}
}

// clockOf gives how far the clock of the server that refused is ahead of this one, where it says so believably.
func clockOf(err *Error) (time.Duration, bool) {
	ms, notNumber := strconv.ParseInt(err.Metadata["server_time_ms"], 10, 64)
	offset := time.Until(time.UnixMilli(ms))
	return offset, notNumber == nil && offset.Abs() < mostOffset
}

// fixedToken is a token that somebody else made, which is sent to the servers that it names only.
type fixedToken struct {
	text      string
	audiences []string
}

func newFixedToken(text string) (TokenSource, error) {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, " \r\n\t") {
		return nil, invalid("Token", fmt.Sprintf("text of %d characters", len(text)), "one token")
	}
	return fixedToken{text, audiencesOf(text)}, nil
}

func (f fixedToken) Token(_ context.Context, audience string) (string, error) {
	if len(f.audiences) > 0 && !slices.Contains(f.audiences, oneLoopback(audience)) {
		return "", newError(ReasonCredentialsAudience,
			"the token is for %s, not for %s; make one with `cabstand keys token NAME --audience %s`, or use KeyFile",
			strings.Join(f.audiences, ", "), audience, audience)
	}
	return f.text, nil
}

// audiencesOf gives the servers that a token names; none where it names a whole subnet, or cannot be read.
func audiencesOf(token string) []string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var claims struct {
		Aud json.RawMessage `json:"aud"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return nil
	}
	var many []string
	if json.Unmarshal(claims.Aud, &many) != nil {
		var one string
		if json.Unmarshal(claims.Aud, &one) != nil {
			return nil
		}
		many = []string{one}
	}
	for i, name := range many {
		if !strings.Contains(name, ":") {
			return nil
		}
		many[i] = oneLoopback(name)
	}
	return many
}

// tokenFile reads a token again whenever the file has changed.
type tokenFile struct {
	path string

	mu      sync.Mutex
	read    time.Time
	current TokenSource
}

// How long a token that was read from a file is taken without a look at it.
const tokenFileFresh = 2 * time.Second

func (f *tokenFile) Token(ctx context.Context, audience string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil || time.Since(f.read) > tokenFileFresh {
		text, err := os.ReadFile(f.path)
		if err == nil {
			var source TokenSource
			if source, err = newFixedToken(string(text)); err == nil {
				f.current, f.read = source, time.Now()
			}
		}
		if err != nil && f.current == nil {
			return "", invalid("TokenFile", f.path, "a file with a token").because(err)
		}
	}
	return f.current.Token(ctx, audience)
}

func (f *tokenFile) refused(string, *Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = time.Time{}
}
