import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { ROOT } from '../support/engine-process.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const PLACES = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin'];
/** Where screenshots are left; git ignores it. */
const SHOTS = join(ROOT, 'artifacts', 'portal');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A Chromium of this system; null: there is none, and what needs it is skipped with that reason. */
export function findChromium(): string | null {
  for (const place of PLACES)
    for (const name of NAMES) {
      const path = join(place || '.', name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here.
      }
    }
  return null;
}

/** Starts it. Its sandbox needs another user than root. */
export async function startChromium(path: string): Promise<Browser> {
  const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({
    executablePath: path,
    args: [...asRoot, '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

/** The two looks that pages are judged in. */
export const LOOKS = {
  'desktop, light': { colorScheme: 'light', viewport: { width: 1280, height: 860 } },
  'phone, dark': { colorScheme: 'dark', viewport: { width: 390, height: 780 } },
} as const satisfies Record<string, BrowserContextOptions>;

/** Goes by Tab to what is meant, as somebody without a mouse does; fails where Tab does not lead there. */
export async function tabTo(page: Page, place: Locator): Promise<void> {
  for (let presses = 0; presses < 120; presses += 1) {
    if (await place.evaluate((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error('Tab does not lead there');
}

/**
 * Presses what leads to another page, and waits until that one is there, whole: what is read or filled
 * in next is of it and not of the page before.
 */
export async function go(page: Page, press: Locator | (() => Promise<unknown>)): Promise<void> {
  await page.evaluate("document.documentElement.setAttribute('data-former', '')");
  await (typeof press === 'function' ? press() : press.click());
  await page.locator('html:not([data-former])').waitFor({ state: 'attached' });
  await page.waitForLoadState();
}

const stopped = new WeakSet<Page>();

/** From here on time goes by hand alone on the page (`page.clock`), however slow the machine is. */
export async function stopClock(page: Page): Promise<void> {
  await page.clock.install();
  await page.clock.pauseAt(Date.now() + 1000);
  stopped.add(page);
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** Some milliseconds, again and again, until it is done: axe waits for timers. */
async function letPass(page: Page, done: Promise<unknown>): Promise<void> {
  const state = { isDone: false };
  const end = (): void => void (state.isDone = true);
  done.then(end, end);
  while (!state.isDone) await page.clock.runFor(5);
}

/** Leaves a screenshot, and fails where axe finds a violation or the page is wider than its window. */
export async function judge(page: Page, name: string, look: string): Promise<void> {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name} (${look}).png`), fullPage: true });
  await page.evaluate(axeSource);
  const judging = page.evaluate<Violation[]>(
    'axe.run().then(({ violations }) => JSON.parse(JSON.stringify(violations)))',
  );
  if (stopped.has(page)) await letPass(page, judging);
  const violations = await judging;
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`);
  expect(told, `axe on “${name}” (${look})`).toEqual([]);
  const tooWide = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
  expect(tooWide, `“${name}” (${look}) scrolls sideways`).toBeLessThanOrEqual(0);
}
