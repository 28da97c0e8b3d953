import { rmSync } from 'node:fs';
import { expectNoLeftovers } from '../../test/support/leaks.js';
import { check } from './check.js';
import { DemoFailure, makeContext, writeKeepFiles, type DemoContext } from './context.js';
import { tryToLoseSomething } from './lose-something.js';
import { walkOneMessage } from './one-message.js';
import { RecordedCases } from './recorded-cases.js';
import { openScreen, took } from './screen.js';
import { showSetUp } from './set-up.js';

/** How the demo is run. */
export interface DemoOptions {
  /** Leave everything up. */
  readonly keep: boolean;
  /** A terminal that takes colours and redrawn lines. */
  readonly fancy: boolean;
  /** Decides the moments of the kills. */
  readonly seed: number;
}

/** Runs the demo; true when everything held. The caller has done the set-up and printed part 1's title. */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const screen = openScreen(options.fancy);
  const began = performance.now();
  const context = await makeContext(screen);
  const { engine } = context;
  const onSignal = (): void => void endNow(context).finally(() => process.exit(130));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  screen.say(`private folder ${engine.folder} · logs in ${engine.logs}`);
  try {
    await showSetUp(context);
    const walked = await walkOneMessage(context);
    const cases = new RecordedCases(context);
    await cases.play();
    await tryToLoseSomething(context, options.seed);
    await check(context, walked, cases);
    const seconds = took(performance.now() - began);
    if (options.keep) await keep(context, walked.messageId, walked.keyId, seconds);
    else await stopAndRemove(context, seconds);
    return true;
  } catch (error) {
    await fail(context, error);
    return false;
  } finally {
    process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal);
  }
}

async function stopAndRemove({ engine, screen }: DemoContext, seconds: string): Promise<void> {
  const count = engine.processes().length + 1;
  await engine.stop();
  await expectNoLeftovers(engine.folder);
  rmSync(engine.folder, { recursive: true, force: true });
  screen.plain([
    ` stopped ${count} processes · removed the folder · nothing left behind · demo took ${seconds}`,
    ' Next: npm run demo -- --keep · client author: docs/protocol.md · operator: mpe site init, docs/operator.md',
  ]);
}

async function keep(
  { engine, screen, enrolmentToken }: DemoContext,
  messageId: string,
  keyId: string,
  seconds: string,
): Promise<void> {
  const { env, stop } = writeKeepFiles(engine);
  await engine.run(['client', 'enrol', '--url', engine.url, '--token-file', '-'], {
    settings: { MPE_CLIENT_HOME: `${engine.folder}/client` },
    input: enrolmentToken,
  });
  engine.release();
  screen.plain([
    ` everything is still up in ${engine.folder} · demo took ${seconds}`,
    ` Try, after  . ${env}`,
    '   node dist/main.js status',
    `   node dist/main.js messages show ${messageId}`,
    `   node dist/main.js keys find ${keyId.slice(0, 8)}`,
    '   node dist/main.js client escrow --random',
    ` Stop it and remove the folder:  sh ${stop}`,
  ]);
}

async function fail({ engine, screen }: DemoContext, error: unknown): Promise<void> {
  const text =
    error instanceof DemoFailure
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  const lines = ['', ` ✗ ${text}`, ''];
  for (const [name, log] of engine.logTexts())
    lines.push(
      ` last lines of ${name}:`,
      ...log
        .trimEnd()
        .split('\n')
        .slice(-5)
        .map((line) => `   ${line.slice(0, 400)}`),
    );
  await Promise.all(engine.processes().map((one) => one.kill()));
  await engine.redis.kill();
  screen.plain([...lines, ` everything was stopped; the folder is kept: ${engine.folder}`]);
}

/** Ctrl-C: everything is ended and removed at once. */
async function endNow({ engine }: DemoContext): Promise<void> {
  await Promise.all(engine.processes().map((one) => one.kill()));
  await engine.redis.kill();
  rmSync(engine.folder, { recursive: true, force: true });
}
