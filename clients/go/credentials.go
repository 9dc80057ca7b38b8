package cabstand

import (
	"context"
	"net"
	"net/url"
	"strings"

	"google.golang.org/grpc/credentials"
)

// PerRPCCredentials makes a short-lived token from a key file for each server that is called. It is all that a
// program with generated stubs of its own needs:
//
//	creds, err := cabstand.PerRPCCredentials("keys/client.key.json")
//	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(tls), grpc.WithPerRPCCredentials(creds))
//
// Without TLS a token is sent to this machine only.
func PerRPCCredentials(keyFile string) (credentials.PerRPCCredentials, error) {
	source, err := KeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	return TokenCredentials(source), nil
}

// TokenCredentials sends the tokens of a source with each call, for any [TokenSource].
func TokenCredentials(source TokenSource) credentials.PerRPCCredentials {
	return &perRPC{source: source}
}

type perRPC struct {
	source TokenSource
	// Tokens may go to other machines without TLS.
	plaintext bool
	// As dialled; empty to take it from the call.
	audience string
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]: GetRequestMetadata looks for itself, since
// there is no need for TLS on one machine.
func (p *perRPC) RequireTransportSecurity() bool { return false }

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (p *perRPC) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	audience := p.audience
	if audience == "" && len(uri) > 0 {
		audience = audienceOf(uri[0])
	}
	if audience == "" {
		return nil, newError(ReasonCredentialsAudience, "gRPC does not say which server is called")
	}
	if info, ok := credentials.RequestInfoFromContext(ctx); ok && !p.plaintext && !isLoopback(audience) {
		if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
			return nil, newError(ReasonUnauthenticated,
				"a token would go to %s without TLS, where others can read it: set TLS, or PlaintextTokens", audience).
				because(err)
		}
	}
	token, err := p.source.Token(ctx, audience)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(token)}, nil
}

// audienceOf gives host:port of what gRPC says of a call: https://host:port/package.Service, without the port
// where it is 443.
func audienceOf(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Hostname() == "" {
		return ""
	}
	port := parsed.Port()
	if port == "" {
		port = "443"
	}
	return strings.ToLower(net.JoinHostPort(parsed.Hostname(), port))
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// oneLoopback gives all spellings of this machine one name.
func oneLoopback(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return strings.ToLower(hostPort)
	}
	if isLoopback(hostPort) {
		host = "127.0.0.1"
	}
	return strings.ToLower(net.JoinHostPort(host, port))
}
