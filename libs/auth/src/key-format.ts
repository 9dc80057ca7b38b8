import { CabstandError, ROLES } from '@cabstand/core';
import type { Role } from '@cabstand/core';

/**
 * What a key may be used for.
 * - `request`: sign requests and responses, and tokens about its own principal.
 * - `issue`: sign tokens about any principal, with at most the key's own roles.
 * - `ticket`: sign tickets.
 */
export type KeyUse = 'request' | 'issue' | 'ticket';

const USES: readonly KeyUse[] = ['request', 'issue', 'ticket'];

/** Members of every key: a JSON Web Key (RFC 8037), with whose it is. */
interface KeyEntry {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  /** 32 bytes in base64url. */
  readonly x: string;
  readonly kid: string;
  readonly principal: string;
  readonly roles: readonly Role[];
}

/** An entry of `keys.json`; what else is in it is kept. */
export interface PublicKeyEntry extends KeyEntry {
  readonly uses: readonly KeyUse[];
  readonly max_priority?: number;
  /** ISO 8601 with the offset. */
  readonly not_before?: string;
  readonly not_after?: string;
}

/** `keys.json`: a JSON Web Key Set (RFC 7517). */
export interface KeySetFile {
  readonly subnet?: string;
  readonly keys: readonly PublicKeyEntry[];
}

/** A private key file: a JSON Web Key with `d`. */
export interface PrivateKeyFile extends KeyEntry {
  readonly d: string;
}

/** Names of keys and principals: safe in headers, paths, labels and logs. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$/;

const NAME_EXPECTED = '1 to 128 of A-Z a-z 0-9 . _ @ : -';
const COORDINATE = /^[A-Za-z0-9_-]{43}$/;
const COORDINATE_EXPECTED = '32 bytes in base64url';
const INSTANT =
  /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
const MOST_KEYS = 10_000;
const HIGHEST_PRIORITY = 9;

/** Checks the content of a key set file; throws INVALID_ARGUMENT that names `where` and the member. */
export function checkKeySet(value: unknown, where: string): KeySetFile {
  const file = new Checked(value, where, '');
  file.text('subnet', NAME, NAME_EXPECTED, 'optional');
  const keys = file.list('keys', MOST_KEYS).map((entry, index) => {
    const key = new Checked(entry, where, `keys.${index}`);
    checkEntry(key);
    if (key.of('d') !== undefined)
      throw key.wrong('d', 'a private key does not belong into the public key set');
    key.among('uses', USES, 'optional');
    const priority = key.of('max_priority');
    if (
      priority !== undefined &&
      !(Number.isInteger(priority) && Number(priority) >= 0 && Number(priority) <= HIGHEST_PRIORITY)
    )
      throw key.wrong('max_priority', `expected a whole number from 0 to ${HIGHEST_PRIORITY}`);
    key.instant('not_before');
    key.instant('not_after');
    return { uses: ['request'], ...key.value };
  });
  return { ...file.value, keys } as unknown as KeySetFile;
}

/** Checks the content of a private key file; throws as above, and never tells a value. */
export function checkPrivateKey(value: unknown, where: string): PrivateKeyFile {
  const key = new Checked(value, where, '');
  checkEntry(key);
  key.text('d', COORDINATE, COORDINATE_EXPECTED);
  return key.value as unknown as PrivateKeyFile;
}

function checkEntry(key: Checked): void {
  key.text('kty', /^OKP$/, '"OKP"');
  key.text('crv', /^Ed25519$/, '"Ed25519"');
  key.text('x', COORDINATE, COORDINATE_EXPECTED);
  key.text('kid', NAME, NAME_EXPECTED);
  key.text('principal', NAME, NAME_EXPECTED);
  key.among('roles', ROLES);
}

/** An object of a file whose members are looked at one by one. Its messages leave values out: one may be a secret. */
class Checked {
  readonly value: Readonly<Record<string, unknown>>;

  constructor(
    value: unknown,
    private readonly where: string,
    private readonly path: string,
  ) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.wrong('', 'expected an object');
    this.value = value as Readonly<Record<string, unknown>>;
  }

  of(member: string): unknown {
    return this.value[member];
  }

  text(member: string, form: RegExp, expected: string, need?: 'optional'): void {
    const text = this.of(member);
    if (text === undefined && need === 'optional') return;
    if (typeof text !== 'string' || !form.test(text))
      throw this.wrong(member, `expected ${expected}`);
  }

  list(member: string, most: number): readonly unknown[] {
    const list = this.of(member);
    if (!Array.isArray(list) || list.length > most)
      throw this.wrong(member, `expected a list of at most ${most}`);
    return list as readonly unknown[];
  }

  among(member: string, values: readonly string[], need?: 'optional'): void {
    if (this.of(member) === undefined && need === 'optional') return;
    this.list(member, MOST_KEYS).forEach((item, index) => {
      if (typeof item !== 'string' || !values.includes(item))
        throw this.wrong(`${member}.${index}`, `expected one of ${values.join(', ')}`);
    });
  }

  instant(member: string): void {
    const text = this.of(member);
    if (text === undefined) return;
    const [whole = '', year, month, day] =
      (typeof text === 'string' ? INSTANT.exec(text) : null) ?? [];
    // Date.parse takes the 30th of February for a day of March.
    const real = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
    if (real.getUTCDate() !== Number(day) || Number.isNaN(Date.parse(whole)))
      throw this.wrong(member, 'expected a time as 2030-01-31T00:00:00Z');
  }

  wrong(member: string, message: string): CabstandError {
    const field = [this.path, member].filter((part) => part !== '').join('.');
    return new CabstandError(
      'INVALID_ARGUMENT',
      `${this.where}:${field === '' ? '' : ` ${field}`} ${message}`,
      { metadata: { file: this.where, field } },
    );
  }
}
