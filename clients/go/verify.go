package cabstand

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// serverKeys are the public keys of a subnet: an answer is a server's if one of those signed it.
type serverKeys struct {
	path string

	mu     sync.Mutex
	keys   map[string]publicKey
	looked time.Time
	read   time.Time
}

type publicKey struct {
	roles         []string
	key           ed25519.PublicKey
	since, before time.Time
}

// The file is looked at again after so long.
const keysFresh = time.Second

func newServerKeys(path string) (*serverKeys, error) {
	keys := &serverKeys{path: path}
	if err := keys.load(); err != nil {
		return nil, err
	}
	return keys, nil
}

// load reads the file where it has changed. What was read before stays in force where that fails.
func (k *serverKeys) load() error {
	k.looked = time.Now()
	about, err := os.Stat(k.path)
	if err == nil && about.ModTime().Equal(k.read) {
		return nil
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(k.path)
	}
	if err != nil {
		return invalid("VerifyServers", k.path, "a file that can be read").because(err)
	}
	var file struct {
		Keys []struct {
			Kty, Crv, Kid, X string
			Roles            []string
			NotBefore        *time.Time `json:"not_before"`
			NotAfter         *time.Time `json:"not_after"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Keys) == 0 {
		return invalid("VerifyServers", k.path, "keys.json as `cabstand keys` makes it").because(err)
	}
	keys := map[string]publicKey{}
	for _, one := range file.Keys {
		point, err := base64.RawURLEncoding.DecodeString(one.X)
		if err != nil || len(point) != ed25519.PublicKeySize || one.Kty != "OKP" || one.Crv != "Ed25519" {
			return invalid("VerifyServers", k.path, "public Ed25519 keys with `x`; "+one.Kid+" is none").because(err)
		}
		key := publicKey{roles: one.Roles, key: point}
		if one.NotBefore != nil {
			key.since = *one.NotBefore
		}
		if one.NotAfter != nil {
			key.before = *one.NotAfter
		}
		keys[one.Kid] = key
	}
	k.keys, k.read = keys, about.ModTime()
	return nil
}

func (k *serverKeys) find(id string) (publicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) >= keysFresh {
		_ = k.load()
	}
	key, known := k.keys[id]
	return key, known
}

// verify gives NODE_BAD_REPLY: whoever answered has not proved to be a server of this subnet. What makes the answer
// fresh is the nonce, which is random and this request's own.
func (k *serverKeys) verify(method, nonce string, headers metadata.MD) *Error {
	of := func(name string) string { return strings.Join(headers.Get(name), ",") }
	id, timestamp := of("cabstand-response-key-id"), of("cabstand-response-timestamp")
	signature, err := base64.RawURLEncoding.DecodeString(of("cabstand-response-signature"))
	if id == "" || timestamp == "" || len(signature) == 0 {
		return unproven("unsigned", "it did not sign its response")
	}
	key, known := k.find(id)
	now := time.Now()
	text := strings.Join([]string{"cabstand-response-v1", id, method, nonce, timestamp}, "\n")
	switch {
	case !known:
		return unproven("keys_outdated", "its key is not in the keys.json here: copy the newest one here")
	case now.Before(key.since), !key.before.IsZero() && now.After(key.before):
		return unproven("key_retired", "its key is not valid now: give it its newest key file, and restart it")
	case !slices.ContainsFunc(serverRoles(method), func(role string) bool { return slices.Contains(key.roles, role) }):
		return unproven("", "its key is not a server's")
	case err != nil || !ed25519.Verify(key.key, []byte(text), signature):
		return unproven("", "the signature of its response is wrong")
	}
	return nil
}

// serverRoles: a client's key must not pass for a server's.
func serverRoles(method string) []string {
	switch {
	case strings.Contains(method, ".RouterService/"):
		return []string{"router"}
	case strings.Contains(method, ".HosterService/"):
		return []string{"hoster"}
	}
	return []string{"router", "hoster"}
}

func unproven(problem, why string) *Error {
	err := newError(ReasonNodeBadReply, "the server did not prove who it is: %s", why)
	if problem != "" {
		err = err.with("problem", problem)
	}
	return err
}

// nonceOf gives that of the request that is signed in the context.
func nonceOf(ctx context.Context) string {
	sent, _ := metadata.FromOutgoingContext(ctx)
	all := sent.Get("cabstand-nonce")
	return all[len(all)-1]
}

// provenStream gives nothing of a stream before its server has proved who it is.
type provenStream struct {
	grpc.ClientStream
	servers       *serverKeys
	method, nonce string
	proven        bool
}

func (s *provenStream) RecvMsg(message any) error {
	if err := s.ClientStream.RecvMsg(message); err != nil || s.proven {
		return err
	}
	headers, err := s.ClientStream.Header()
	if err != nil {
		return err
	}
	if bad := s.servers.verify(s.method, s.nonce, headers); bad != nil {
		return bad
	}
	s.proven = true
	return nil
}
