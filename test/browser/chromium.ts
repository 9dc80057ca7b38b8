import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '@cabstand/testing';
import { WebSocket } from 'ws';

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: { readonly [member: string]: unknown };
  readonly error?: { readonly message: string };
}

/** Ends that Chromium tells its clients by: https://chromedevtools.github.io/devtools-protocol/ */
const READY = /DevTools listening on (ws:\/\/\S+)/;
const START_MS = 60_000;
const END_MS = 10_000;

/** A real browser without a screen, whose microphone plays a recording; steered by the DevTools protocol. */
export class Chromium implements AsyncDisposable {
  /** What the page complained of. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #next = 0;
  #session = '';

  private constructor(child: ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child;
    this.#profile = profile;
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#hear(JSON.parse(data.toString()) as Reply));
  }

  static async start(program: string, recording: string): Promise<Chromium> {
    const profile = mkdtempSync(path.join(tmpdir(), 'cabstand-browser-'));
    const child = spawn(
      program,
      [
        ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
        ...['--no-first-run', '--disable-extensions', '--remote-debugging-port=0'],
        ...['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'],
        ...[`--use-file-for-fake-audio-capture=${recording}`, `--user-data-dir=${profile}`],
        ...['--autoplay-policy=no-user-gesture-required', 'about:blank'],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const address = await new Promise<string>((resolve, reject) => {
      let said = '';
      const late = setTimeout(() => reject(new Error(`no browser: ${said}`)), START_MS);
      child.once('exit', () => reject(new Error(`the browser ended: ${said}`)));
      child.stderr.on('data', (piece: Buffer) => {
        said += piece.toString();
        const [, found] = READY.exec(said) ?? [];
        if (found === undefined) return;
        clearTimeout(late);
        resolve(found);
      });
    });
    const socket = new WebSocket(address);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return new Chromium(child, profile, socket);
  }

  async open(url: string): Promise<void> {
    const { targetId } = await this.#call('Target.createTarget', { url: 'about:blank' });
    const attach = { targetId, flatten: true };
    const { sessionId } = await this.#call('Target.attachToTarget', attach);
    this.#session = String(sessionId);
    await this.#call('Runtime.enable', {});
    await this.#call('Log.enable', {});
    await this.#call('Page.enable', {});
    await this.#call('Page.navigate', { url });
    // Its scripts have run then: before that, nobody hears a click.
    const loaded = `location.href !== 'about:blank' && document.readyState === 'complete'`;
    await until(
      `${url} to be loaded`,
      // What is asked while one page gives way to the next has no answer.
      () =>
        this.evaluate(loaded).then(
          (isLoaded) => isLoaded === true || undefined,
          () => undefined,
        ),
      { timeoutMs: 60_000 },
    );
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = (await this.#call('Runtime.evaluate', {
      ...{ expression, returnByValue: true, awaitPromise: true, userGesture: true },
    })) as { readonly result: { readonly value?: unknown }; readonly exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  /** Presses and lets go of a key, as somebody at a keyboard: `Tab`, `Enter`, `Escape`. */
  async press(key: 'Tab' | 'Enter' | 'Escape'): Promise<void> {
    const codes = { Tab: 9, Enter: 13, Escape: 27 };
    const facts = { key, code: key, windowsVirtualKeyCode: codes[key] };
    const text = key === 'Enter' ? { text: '\r' } : {};
    await this.#call('Input.dispatchKeyEvent', { type: 'keyDown', ...facts, ...text });
    await this.#call('Input.dispatchKeyEvent', { type: 'keyUp', ...facts });
  }

  /** Types text where the focus is. */
  async type(text: string): Promise<void> {
    await this.#call('Input.insertText', { text });
  }

  /** Shows the page as a device of this width does, light or dark. */
  async look(width: number, scheme: 'light' | 'dark'): Promise<void> {
    const metrics = { width, height: 800, deviceScaleFactor: 1, mobile: width < 600 };
    await this.#call('Emulation.setDeviceMetricsOverride', metrics);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.#call('Emulation.setEmulatedMedia', { features });
  }

  /** Runs a script beside the page's own, whatever its content security policy says. */
  async inject(script: string): Promise<void> {
    await this.#call('Runtime.evaluate', { expression: script });
  }

  /** What the page looks like, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#call('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(String(data), 'base64');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null) {
      // Killed, it would leave processes behind that still write into the profile.
      this.#session = '';
      this.#call('Browser.close', {}).catch(() => undefined);
      const late = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
      await ended;
      clearTimeout(late);
    }
    this.#socket.terminate();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }

  async #call(method: string, params: object): Promise<NonNullable<Reply['result']>> {
    const id = ++this.#next;
    const sessionId = this.#session === '' ? {} : { sessionId: this.#session };
    const { result, error } = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params, ...sessionId }));
    });
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  #hear(reply: Reply): void {
    if (reply.id !== undefined) {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    } else if (reply.method === 'Runtime.exceptionThrown' || reply.method === 'Log.entryAdded')
      this.complaints.push(JSON.stringify(reply.params));
  }
}
