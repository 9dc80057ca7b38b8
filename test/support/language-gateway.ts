/** A gateway over HTTP before two hosters that have language models, one of which talks, and one that makes vectors of texts. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { ENCODER_MODELS, LANGUAGE_MODELS, Subnet, freePorts } from '@cabstand/testing';
import { Gateway } from './gateway';

/** As `llama` of the test models is to talk. */
const TEMPLATE = `{{ bos_token }}
{%- for tool in tools or [] %}{{ tool.function.name }}, {% endfor %}
{%- for m in messages %}{{ m.role + ': ' + (m.content or '') }}
{%- for call in m.tool_calls or [] %}{{ '<tool_call>' + (call.function.arguments | tojson) }}{% endfor %}
{{- '</s>' }}{% endfor %}assistant:`;

/** A repository of the language models of the tests: `gpt2`, and `llama`, which talks. */
export function talkingModels(): Disposable & { readonly folder: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-talking-models-'));
  for (const model of ['gpt2', 'llama'])
    cpSync(path.join(LANGUAGE_MODELS, model), path.join(folder, model), { recursive: true });
  writeFileSync(path.join(folder, 'llama/1/chat_template.jinja'), TEMPLATE);
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

export class LanguageGateway implements AsyncDisposable {
  private constructor(
    readonly subnet: Subnet,
    readonly gateway: Gateway,
    readonly base: string,
    /** Of the member `client`. */
    readonly token: string,
    readonly models: ReturnType<typeof talkingModels>,
  ) {}

  static async start(readyMs: number): Promise<LanguageGateway> {
    const models = talkingModels();
    const vectors = 'sentence-bert';
    cpSync(path.join(ENCODER_MODELS, vectors), path.join(models.folder, vectors), {
      recursive: true,
    });
    // A short journal keeps engines close to readers: they have something left to compute when they die.
    const hosterConfig = { limits: { journal_records: 16 } };
    const subnet = await Subnet.start({ models: models.folder, hosters: 2, hosterConfig, readyMs });
    const [port] = await freePorts(1);
    const listen = `127.0.0.1:${String(port)}`;
    const gateway = await Gateway.start(subnet, { http: { listen } });
    const key = readPrivateKey(subnetPaths(subnet.keys).key('client'));
    const token = await new MintedTokens({ key }).get(gateway.address);
    return new LanguageGateway(subnet, gateway, `http://${listen}`, token, models);
  }

  readonly ask = (pathname: string, body?: unknown, signal?: AbortSignal): Promise<Response> =>
    fetch(this.base + pathname, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });

  /** Ends one hoster at once, and starts it again. Resolves when it has ended. */
  async killHoster(index: number): Promise<void> {
    const died = this.subnet.hosters[index];
    if (died === undefined) throw new Error(`no hoster ${index}`);
    died.child.kill('SIGKILL');
    await died.child.exited;
    this.subnet.hosters[index] = await this.subnet.startHoster(index, died);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.subnet.stop();
    this.models[Symbol.dispose]();
  }
}
