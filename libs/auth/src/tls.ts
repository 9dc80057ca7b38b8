import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { invalid } from '@cabstand/core';
import type { Timer } from '@cabstand/core';
import { namingNoAddress } from '@cabstand/rpc';
import type { TlsConfigInput } from './tls-config';
import { TlsFiles } from './tls-context';
import type { TlsOptions } from './tls-material';

/**
 * Credentials for a gRPC server; without `config` it speaks plain text. When the files change, connections
 * that are made from then on get what is in them, and those that are open go on. Throws INVALID_ARGUMENT
 * that names the file and what is wrong with it.
 */
export function serverCredentials(
  config: TlsConfigInput | undefined,
  options: TlsOptions = {},
): ServerCredentials {
  if (config === undefined) return ServerCredentials.createInsecure();
  return new FileServerCredentials(serverTls(config, options), config.require_client_cert ?? false);
}

/** The files of a server, for servers of other kinds too (admin HTTP). Throws as above. */
export function serverTls(config: TlsConfigInput, options: TlsOptions = {}): TlsFiles {
  if (config.cert === undefined && config.key === undefined)
    throw invalid('INVALID_ARGUMENT', 'tls.cert', config.cert, 'the path of a certificate');
  if (config.require_client_cert === true && config.ca === undefined)
    throw invalid(
      'INVALID_ARGUMENT',
      'tls.ca',
      config.ca,
      'a path: clients must show certificates',
    );
  return new TlsFiles(config, options);
}

/**
 * Credentials for a gRPC channel; without `config` it speaks plain text, without `ca` the authorities that
 * Node knows are trusted. Each connection is made with the files as they are then. Throws as above.
 */
export function channelCredentials(
  config: TlsConfigInput | undefined,
  options: TlsOptions = {},
): ChannelCredentials {
  if (config === undefined) return ChannelCredentials.createInsecure();
  return new FileChannelCredentials(new TlsFiles(config, options));
}

/** grpc-js adds a watcher for each of its servers, and takes it away when that one closes. */
class FileServerCredentials extends ServerCredentials {
  readonly #files: TlsFiles;
  #watching: Timer | undefined;

  constructor(files: TlsFiles, requestCert: boolean) {
    super({ requestCert }, files.current.options);
    this.#files = files;
  }

  override _addWatcher(...watcher: Parameters<ServerCredentials['_addWatcher']>): void {
    super._addWatcher(...watcher);
    this.#watching ??= this.#files.watch(({ options }) => this.updateSecureContextOptions(options));
  }

  override _removeWatcher(...watcher: Parameters<ServerCredentials['_removeWatcher']>): void {
    super._removeWatcher(...watcher);
    if (this.getWatcherCount() > 0) return;
    this.#watching?.cancel();
    this.#watching = undefined;
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

class FileChannelCredentials extends ChannelCredentials {
  readonly #files: TlsFiles;

  constructor(files: TlsFiles) {
    super();
    this.#files = files;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...target: Parameters<ChannelCredentials['_createSecureConnector']>
  ): ReturnType<ChannelCredentials['_createSecureConnector']> {
    const connector = () =>
      namingNoAddress(
        ChannelCredentials.createFromSecureContext(this.#files.current.context),
      )._createSecureConnector(...target);
    const first = connector();
    return {
      connect: (socket) => connector().connect(socket),
      waitForReady: () => first.waitForReady(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => first.destroy(),
    };
  }
}
