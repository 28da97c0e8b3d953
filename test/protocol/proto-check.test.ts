import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempFolder } from '../support/temp.js';

const repository = join(import.meta.dirname, '..', '..');

/** Runs the check on a copy of the contract, one file changed. */
function check(file: string, change: (text: string) => string): { code: number | null; output: string } {
  const root = tempFolder('mpe-proto-');
  cpSync(join(repository, 'buf.yaml'), join(root, 'buf.yaml'));
  cpSync(join(repository, 'proto', 'mpe'), join(root, 'proto', 'mpe'), { recursive: true });
  const path = join(root, 'proto', 'mpe', 'v1', file);
  const after = change(readFileSync(path, 'utf8'));
  writeFileSync(path, after);
  const run = spawnSync(process.execPath, [join(repository, 'scripts', 'check-proto.mjs'), '--root', root], {
    encoding: 'utf8',
  });
  return { code: run.status, output: run.stdout + run.stderr };
}

describe('the breaking-change check', () => {
  it('passes the contract as it is', () => {
    const { code, output } = check('common.proto', (text) => text);
    expect(output).toContain('nothing breaks');
    expect(code).toBe(0);
  });

  it('finds a removed field', () => {
    const { code, output } = check('message.proto', (text) => text.replace('bytes reply_key = 5;', ''));
    expect(output).toMatch(/reply_key/);
    expect(code).toBe(1);
  });

  it('finds a field whose type changed', () => {
    const { code, output } = check('message.proto', (text) =>
      text.replace('int64 sequence = 6;', 'uint32 sequence = 6;'),
    );
    expect(output).toMatch(/sequence/);
    expect(code).toBe(1);
  });

  it('finds an enum value with another number', () => {
    const { code, output } = check('common.proto', (text) =>
      text.replace('REASON_CANNOT_OPEN = 3;', 'REASON_CANNOT_OPEN = 33;'),
    );
    expect(output).toMatch(/enum value "3" on enum "Reason"/);
    expect(code).toBe(1);
  });

  it('finds a field without a comment', () => {
    const { code, output } = check('envelope.proto', (text) =>
      text.replace('  // W3C trace state, optional.\n', ''),
    );
    expect(output).toMatch(/lint failed/);
    expect(code).toBe(1);
  });

  it('lets a new field pass, and says that the baseline does not guard it yet', () => {
    const { code, output } = check('envelope.proto', (text) =>
      text.replace(
        '  string tracestate = 7;',
        '  string tracestate = 7;\n  // Something later.\n  string later = 99;',
      ),
    );
    expect(output).toContain('--update');
    expect(code).toBe(0);
  });
});
