export { AllowlistAuthorizer } from './allowlist';
export type { AllowlistOptions } from './allowlist';
export { anyOf } from './any-of';
export { normalizeAudience } from './audience';
export type { Audiences } from './audience';
export { BearerAuthorizer } from './bearer';
export type { BearerAuthorizerOptions } from './bearer';
export type { TokenVerifierOptions } from './bearer-verify';
export { authConfigSchema, rateLimitConfigSchema, tlsConfigSchema } from './config';
export type { AuthConfig, AuthConfigInput, TlsConfig, TlsConfigInput } from './config';
export {
  createClientAuthorizer,
  authWarnings,
  createServerAuthorizer,
  createTicketSigner,
  createTicketVerifier,
} from './create';
export type { CreateOptions, ServerAuthOptions } from './create';
export { insecureLocal, isLoopbackHost, isLoopbackPeer } from './insecure';
export type { InsecureOptions } from './insecure';
export { keyExpiry } from './key-expiry';
export type { KeyExpiry } from './key-expiry';
export { FileKeySet, readKeySet, readPrivateKey } from './key-files';
export type { FileKeySetOptions } from './key-files';
export { createSealerOf } from './seal';
export type { SealBinding, SealProblem, Sealer } from './seal';
export { createSealer } from './seal-create';
export type { CreateSealerOptions } from './seal-create';
export { readSealKeys, rotateSealKey } from './seal-keys';
export type { RotateSealKeyOptions, SealKey } from './seal-keys';
export { StaticKeySet, parseKeySet, parsePrivateKey } from './keys';
export type { KeySource, KeyUse, PrivateKey, PublicKey } from './keys';
export type { NonceCacheOptions } from './nonces';
export { DEFAULT_PERMISSIONS, checkPermission } from './permissions';
export type { Permissions } from './permissions';
export { RateLimitedAuthorizer, RateLimiter } from './rate-limit';
export type { RateLimiterOptions } from './rate-limit';
export type { SchemeAuthorizer } from './scheme';
export { SignatureAuthorizer } from './signature';
export type { SignatureAuthorizerOptions } from './signature';
export type { RequestVerifierOptions } from './signature-request';
export { CachedTokens, MintedTokens, mintToken } from './token-source';
export type {
  CachedTokensOptions,
  MintedTokensOptions,
  TokenClaims,
  TokenSource,
  Tokens,
} from './token-source';
export { rotateKey } from './rotate';
export type { RotateOptions } from './rotate';
export { generateSubnetKeys, subnetMembers } from './subnet';
export { exportMember, memberFiles } from './export';
export type { ExportOptions } from './export';
export type { IssueTokenOptions, TokenAudience } from './subnet-tokens';
export { issueToken, writeClientToken } from './subnet-tokens';
export type { GenerateOptions } from './subnet';
export { addMember, removeMember } from './members';
export type { AddMemberOptions, AddedMember } from './members';
export { hasAuthority, readCertificates, renewCertificate } from './member-certificates';
export type { MemberCertificate, RenewOptions } from './member-certificates';
export type { Member } from './subnet-keys';
export { subnetPaths } from './subnet-files';
export { signedTickets, ticketVerifier, unsignedTickets } from './ticket';
export type {
  Ticket,
  TicketProblem,
  TicketSigner,
  TicketUse,
  TicketVerifier,
  TicketVerifierOptions,
} from './ticket';
export { channelCredentials, serverCredentials, serverTls } from './tls';
export type { TlsFiles } from './tls-context';
export { readTls } from './tls-material';
export type { CertificateInUse, TlsMaterial, TlsOptions } from './tls-material';
export { WatchedFile } from './watched-file';
export type { WatchOptions } from './watched-file';
