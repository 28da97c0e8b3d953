import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import ts from 'typescript';
import { tempFolder } from '../support/temp.js';

/**
 * A real process with the real source: the one module is compiled alone, as its only imports are
 * Node's own. `mode` says how its one part drains.
 */
const CHILD = `
import { Shutdown } from './shutdown.js';
const say = (line) => process.stdout.write(line + '\\n');
const log = Object.fromEntries(['info', 'warn', 'error'].map((l) => [l, (fields) => say(fields.event)]));
const [mode, bound] = process.argv.slice(2);
const shutdown = new Shutdown(log, Number(bound));
const alive = setInterval(() => undefined, 1000);
shutdown.signal.addEventListener('abort', () => say('not ready'));
shutdown.add({
  name: 'first',
  drain: async (signal) => {
    say('first drains');
    if (mode === 'hang') await new Promise((resolve) => signal.addEventListener('abort', resolve));
    if (mode === 'deaf') await new Promise(() => undefined);
    if (mode === 'fail') throw new Error('no');
    say('first drained');
  },
  force: async () => { say('first forced'); if (mode === 'deaf') await new Promise(() => undefined); },
});
shutdown.add({ name: 'second', drain: async () => say('second drained') });
if (mode === 'end') await shutdown.end('watchdog', 3);
say('ready');
`;

let folder = '';

beforeAll(() => {
  folder = tempFolder();
  const source = readFileSync(new URL('../../src/ops/shutdown.ts', import.meta.url), 'utf8');
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(
    join(folder, 'shutdown.js'),
    ts.transpileModule(source, { compilerOptions: options }).outputText,
  );
  writeFileSync(join(folder, 'child.js'), CHILD);
});

/** Runs the child; sends each signal when its line has appeared. */
async function run(
  mode: string,
  boundMs: number,
  signals: readonly (readonly [line: string, signal: NodeJS.Signals])[],
): Promise<{ code: number | null; signal: NodeJS.Signals | null; lines: string[] }> {
  const child = spawn(process.execPath, [join(folder, 'child.js'), mode, String(boundMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const waiting = [...signals];
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
    while (waiting[0] !== undefined && output.split('\n').includes(waiting[0][0])) {
      child.kill(waiting.shift()?.[1]);
    }
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { code, signal, lines: output.trimEnd().split('\n') };
}

describe.skipIf(process.platform === 'win32')('a process that gets a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s: says not ready, drains its parts in order, exits 0',
    async (signal) => {
      const { code, lines } = await run('ok', 60_000, [['ready', signal]]);
      expect(lines).toEqual([
        ...['ready', 'shutdown.started', 'not ready', 'first drains', 'first drained', 'second drained'],
        'shutdown.done',
      ]);
      expect(code).toBe(0);
    },
  );

  test('is told when the bound is reached, then ends with 1 and says so', async () => {
    const { code, lines } = await run('hang', 100, [['ready', 'SIGTERM']]);
    expect(lines).toContain('shutdown.bound');
    expect(lines).toContain('first forced');
    expect(code).toBe(1);
  });

  test('ends within the bound although a part hears nothing, even when it is forced', async () => {
    const { code, lines } = await run('deaf', 100, [['ready', 'SIGTERM']]);
    expect(lines).toContain('first forced');
    expect(code).toBe(1);
  });

  test('drains the other parts where one fails, and exits 1', async () => {
    const { code, lines } = await run('fail', 60_000, [['ready', 'SIGTERM']]);
    expect(lines).toContain('shutdown.part_failed');
    expect(lines).toContain('second drained');
    expect(code).toBe(1);
  });

  test('is forced by a second signal, and dies by that signal, as its parent sees', async () => {
    const { code, signal, lines } = await run('hang', 60_000, [
      ['ready', 'SIGTERM'],
      ['first drains', 'SIGINT'],
    ]);
    expect(lines).toContain('shutdown.forced');
    expect(lines).toContain('first forced');
    expect(code).toBeNull();
    expect(signal).toBe('SIGINT');
  });

  test('keeps the status it was ended with by itself', async () => {
    const { code } = await run('end', 60_000, []);
    expect(code).toBe(3);
  });
});
