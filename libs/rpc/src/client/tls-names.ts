import { isIP } from 'node:net';
import { ChannelCredentials } from '@grpc/grpc-js';

type CreateConnector = ChannelCredentials['_createSecureConnector'];

/**
 * Credentials that name no address to the server. TLS has names only for servers that have one (RFC 6066,
 * section 3), and Node warns on stderr (DEP0123) where a client gives an address; grpc-js always does. The
 * certificate is checked against the address all the same: without a name Node takes the host.
 */
export function namingNoAddress(credentials: ChannelCredentials): ChannelCredentials {
  return credentials._isSecure() ? new NamingNoAddress(credentials) : credentials;
}

class NamingNoAddress extends ChannelCredentials {
  readonly #inner: ChannelCredentials;

  constructor(inner: ChannelCredentials) {
    super();
    this.#inner = inner;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof NamingNoAddress && this.#inner._equals(other.#inner);
  }

  override _createSecureConnector(
    ...args: Parameters<CreateConnector>
  ): ReturnType<CreateConnector> {
    const connector = this.#inner._createSecureConnector(...args);
    // What grpc-js gives to tls.connect. Where another version keeps it elsewhere, the warning is back.
    const options: unknown = Reflect.get(connector, 'connectionOptions');
    if (typeof options === 'object' && options !== null) {
      const name: unknown = Reflect.get(options, 'servername');
      if (typeof name === 'string' && isIP(name) !== 0) Reflect.set(options, 'servername', '');
    }
    return connector;
  }
}
