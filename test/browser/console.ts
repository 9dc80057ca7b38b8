/** The router's console in a real browser, used without a mouse. */
import { readFileSync } from 'node:fs';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { until } from '@cabstand/testing';
import type { Subnet } from '@cabstand/testing';
import type { Chromium } from './chromium';

const AWHILE = { timeoutMs: 30_000 };
const MOST_BYTES = 200_000;
const MOST_TABS = 40;

/** A way to say that something holds; throws where it does not. */
type Check = (what: string, holds: boolean) => void;

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/**
 * Opens it, signs in, sees what happened, and drains a hoster. `subnet` has two of them and a gateway whose sessions
 * have gone from one to the other; one of them ends.
 */
export async function checkConsole(subnet: Subnet, browser: Chromium, check: Check): Promise<void> {
  const [router] = subnet.routers;
  if (router === undefined) throw new Error('there is no router');
  const complaintsBefore = browser.complaints.length;
  await browser.open(`http://${router.admin}/console`);
  await browser.look(1200, 'light');
  const sees = <T>(what: string, expression: string): Promise<T> =>
    until(
      what,
      async () => ((await browser.evaluate(expression)) as T | false | null) || undefined,
      { ...AWHILE, explain: () => browser.complaints.join('\n') },
    );
  const focus = `document.activeElement.id || document.activeElement.getAttribute('aria-label')`;
  /** Goes on with the Tab key until that has the focus. */
  const tabTo = async (wanted: RegExp): Promise<string> => {
    for (let i = 0; i < MOST_TABS; i++) {
      await browser.press('Tab');
      const now = String(await browser.evaluate(focus));
      if (wanted.test(now)) return now;
    }
    throw new Error(`the Tab key never gets to ${String(wanted)}`);
  };

  await sees('the form to sign in', `!document.getElementById('login').hidden`);
  const refusedWith = `document.getElementById('login-why').textContent`;
  await browser.type('not-a-token');
  await browser.press('Enter');
  check(
    'a wrong token is refused with words',
    String(await sees('the refusal', refusedWith)).startsWith('The router refuses: '),
  );
  const key = readPrivateKey(subnetPaths(subnet.keys).key('admin'));
  await browser.type(await new MintedTokens({ key }).get(router.dialled));
  await browser.press('Enter');
  const online = `[...document.querySelectorAll('#nodes tbody tr')].filter((row) => row.textContent.includes('ONLINE')).length`;
  await sees('both hosters', `${online} === 2`);
  const models = await browser.evaluate(`document.getElementById('models').textContent`);
  check('both hosters and their models are shown', String(models).includes('g2p'));
  check(
    'the gateway is named, which follows the nodes',
    String(await browser.evaluate(`document.getElementById('gateways').textContent`)) ===
      '1 gateway follows the nodes: gateway',
  );
  check(
    'the failovers are among what happened',
    (await browser.evaluate(
      `/sessions? goe?s? on at .*, from /.test(document.getElementById('happenings').textContent)`,
    )) === true,
  );
  const weight = (await browser.evaluate(
    `performance.getEntries().filter(({ name, entryType }) => /navigation|resource/.test(entryType) && !name.endsWith('/events')).reduce((sum, { transferSize }) => sum + transferSize, 0)`,
  )) as number;
  check(
    `the page weighs ${String(weight)} bytes, below ${String(MOST_BYTES)}`,
    weight > 10_000 && weight < MOST_BYTES,
  );

  for (const [width, scheme] of [
    [1200, 'light'],
    [360, 'dark'],
  ] as const) {
    await browser.look(width, scheme);
    const wide = (await browser.evaluate(`document.documentElement.scrollWidth`)) as number;
    check(`at ${String(width)} pixels nothing is cut off`, wide <= width);
    const violations = await violationsIn(browser);
    check(
      `axe finds nothing at ${String(width)} pixels, ${scheme}: ${JSON.stringify(violations)}`,
      violations.length === 0,
    );
  }
  await browser.look(1200, 'light');

  await browser.evaluate(`document.getElementById('session-id').focus()`);
  await browser.type('nobodys');
  await browser.press('Enter');
  await sees(
    'what is found of a session',
    `document.getElementById('session-found').textContent.startsWith('nobodys: no hoster has')`,
  );
  check('an administrator looks for a session, and is told that there is none', true);
  await browser.evaluate(`document.activeElement.blur()`);

  const button = await tabTo(/^Drain /);
  const hoster = button.replace('Drain ', '');
  await browser.press('Enter');
  await sees('the question', `document.getElementById('ask').open`);
  await browser.press('Escape');
  await sees('the focus to come back', `${focus} === ${JSON.stringify(button)}`);
  check(
    'a drain that is thought better of does not happen',
    (await browser.evaluate(`${online} === 2`)) === true,
  );
  await browser.press('Enter');
  await sees('the question', `document.getElementById('ask').open`);
  await browser.press('Enter');
  const happened = `document.getElementById('happenings').textContent.includes(${JSON.stringify(`${hoster}: ONLINE → DRAINING`)})`;
  await sees('the drain among what happened', happened);
  const row = `[...document.querySelectorAll('#nodes tbody tr')].find((row) => row.textContent.includes(${JSON.stringify(hoster)}))`;
  await sees('its state', `/DRAINING|OFFLINE/.test(${row}.textContent)`);
  check('a hoster is drained by keyboard, and its state changes on the page', true);
  const index = subnet.hosters.findIndex(({ address }) => hoster.includes(address));
  const code = await subnet.hosters[index]?.child.exited;
  check('its process ends well', code?.code === 0);
  check(
    'the browser has nothing to complain of but the refusal',
    browser.complaints
      .slice(complaintsBefore)
      .every((complaint) => complaint.includes('401 (Unauthorized)')),
  );
}

async function violationsIn(browser: Chromium): Promise<readonly string[]> {
  await browser.inject(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const found = (await browser.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => (passes.length > 10 ? violations : [{ id: 'axe has hardly looked', nodes: [] }]).map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 3).map(({ html }) => ({ html })) })))`,
  )) as readonly Violation[];
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
