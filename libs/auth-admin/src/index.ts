export { authConfigSchema, rateLimitConfigSchema, tlsConfigSchema } from './config';
export type { AuthConfig, AuthConfigInput, TlsConfig } from './config';
export {
  createClientAuthorizer,
  authWarnings,
  createServerAuthorizer,
  createTicketSigner,
  createTicketVerifier,
} from './create';
export type { CreateOptions, ServerAuthOptions } from './create';
export { keyExpiry } from './key-expiry';
export type { KeyExpiry } from './key-expiry';
export { createSealer } from './seal-create';
export type { CreateSealerOptions } from './seal-create';
export { readSealKeys, rotateSealKey } from './seal-keys';
export type { RotateSealKeyOptions } from './seal-keys';
export { endKeys, retiredKeys } from './retire';
export type { RetireOptions, RetiredKey } from './retire';
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
