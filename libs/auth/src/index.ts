export { AllowlistAuthorizer } from './allowlist';
export type { AllowlistOptions } from './allowlist';
export { anyOf } from './any-of';
export { normalizeAudience } from './audience';
export type { Audiences } from './audience';
export { BearerAuthorizer } from './bearer';
export type { BearerAuthorizerOptions } from './bearer';
export type { TokenVerifierOptions } from './bearer-verify';
export { insecureLocal, isLoopbackHost, isLoopbackPeer } from './insecure';
export type { InsecureOptions } from './insecure';
export { FileKeySet, readJson, readKeySet, readPrivateKey, readText } from './key-files';
export type { FileKeySetOptions } from './key-files';
export { createSealerFrom, createSealerOf } from './seal';
export type { SealBinding, SealKey, SealProblem, Sealer } from './seal';
export { NAME, checkKeySet } from './key-format';
export type { KeySetFile, KeyUse, PrivateKeyFile, PublicKeyEntry } from './key-format';
export { StaticKeySet, parseKeySet, parsePrivateKey, sameSet, validityOf } from './keys';
export type { KeySource, PrivateKey, PublicKey } from './keys';
export type { MacKeyOptions } from './mac-keys';
export type { NonceCacheOptions } from './nonces';
export { DEFAULT_PERMISSIONS, checkPermission } from './permissions';
export { RESPONSE_HEADERS } from './canonical';
export type { Permissions } from './permissions';
export { RateLimitedAuthorizer, RateLimiter } from './rate-limit';
export type { RateLimiterOptions } from './rate-limit';
export type { SchemeAuthorizer } from './scheme';
export { SignatureAuthorizer } from './signature';
export type { SignatureAuthorizerOptions } from './signature';
export type { RequestVerifierOptions } from './signature-request';
export { CachedTokens, MintedTokens, audiencesOf, mintToken } from './token-source';
export type {
  CachedTokensOptions,
  MintedTokensOptions,
  TokenClaims,
  TokenSource,
  Tokens,
} from './token-source';
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
export type { TlsConfigInput } from './tls-config';
export type { TlsFiles } from './tls-context';
export { readTls } from './tls-material';
export type { CertificateInUse, TlsMaterial, TlsOptions } from './tls-material';
export { WatchedFile } from './watched-file';
export type { WatchOptions } from './watched-file';
