import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coverageOf, uncovered } from '../../src/replay/coverage.js';
import {
  buildFixtures,
  DEFAULT_FIXTURES,
  materialOf,
  staleFixtures,
} from '../../src/replay/fixture-folder.js';
import { fixtureSchema } from '../../src/replay/fixture-schema.js';
import { formatFixture } from '../../src/replay/format-fixture.js';
import { loadFixtures, selectFixtures } from '../../src/replay/load-fixtures.js';
import { readBuiltCase } from '../../src/replay/built-case.js';
import { showCase } from '../../src/replay/show-case.js';
import { secretsOf } from '../../src/replay/secrets-of.js';
import { SITE_VARIANTS } from '../../src/replay/site-variants.js';
import { ROOT } from '../support/engine-process.js';
import { copyOfFixtures, edit, FIXTURES } from './support.js';

const loaded = loadFixtures(FIXTURES);
const fixtures = loaded.map(({ fixture }) => fixture);

describe('the fixtures of this repository', () => {
  test('are built and up to date', () => {
    expect(DEFAULT_FIXTURES).toBe(FIXTURES);
    expect(staleFixtures(FIXTURES, loaded)).toEqual([]);
  });

  test('show every disposition, reason, item reason and body that can occur', () => {
    expect(uncovered(coverageOf(fixtures))).toEqual([]);
    const without = fixtures.filter((f) => f.name !== 'key-id-duplicate');
    expect(uncovered(coverageOf(without)).map((line) => line.word)).toEqual(['KEY_ID_DUPLICATE']);
  });

  test('stand in the one form that an update writes', () => {
    for (const { file } of loaded) {
      const text = readFileSync(file, 'utf8');
      expect(formatFixture(JSON.parse(text)), file).toBe(text);
    }
  });

  test('that name a sample have its bytes beside them, and use a value of it', () => {
    const values =
      /[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{6}(?:-[0-9]{6}){7}|[A-Za-z0-9+/]{27}=|(?<=le-base64:)[^"]+/gi;
    const withoutValue: string[] = [];
    let samples = 0;
    for (const { fixture } of loaded) {
      const files = fixture.source.filter((s) => s.startsWith('inputs/')).map((s) => join(FIXTURES, s));
      if (files.length === 0) continue;
      samples += files.length;
      for (const file of files) expect(existsSync(file), file).toBe(true);
      const text = files.map((file) => readFileSync(file, 'utf8').toLowerCase()).join('\n');
      const used = fixture.steps.flatMap((step) =>
        [...JSON.stringify(step.send?.body ?? {}).matchAll(values)].map(([value]) => value.toLowerCase()),
      );
      if (!used.some((value) => text.includes(value))) withoutValue.push(fixture.name);
    }
    expect(samples).toBeGreaterThan(15);
    // These take the situation of their sample, which holds no password and no key ID.
    expect(withoutValue).toEqual(['check-in-suspended', 'escrow-no-protectors']);
  });

  test('format and site variants are all in docs/fixtures.md', () => {
    const doc = readFileSync(join(ROOT, 'docs/fixtures.md'), 'utf8');
    for (const variant of SITE_VARIANTS) expect(doc).toContain(`\`${variant}\``);
    for (const field of Object.keys(fixtureSchema.shape)) expect(doc).toContain(`\`${field}\``);
  });
});

describe('a build', () => {
  test('makes anew only what was edited, and says what is stale', async () => {
    const folder = copyOfFixtures('moved-disk', 'tpm-present');
    expect(await buildFixtures(folder, loadFixtures(folder))).toMatchObject({ made: [], removed: [] });
    const before = readBuiltCase(folder, 'moved-disk');
    edit(folder, 'moved-disk', (json) => {
      json.steps[1].send.clientVersion = 'edited';
      json.steps[0].expect = { disposition: 'COMMITTED' };
    });
    expect(staleFixtures(folder, loadFixtures(folder))).toEqual(['moved-disk/new']);
    expect(await buildFixtures(folder, loadFixtures(folder))).toMatchObject({ made: ['moved-disk/new'] });
    const after = readBuiltCase(folder, 'moved-disk');
    expect(after?.steps['old']).toEqual(before?.steps['old']);
    expect(after?.steps['new']).not.toEqual(before?.steps['new']);
    expect(staleFixtures(folder, loadFixtures(folder))).toEqual([]);
  });

  test('of a re-send follows the message that it repeats', async () => {
    const folder = copyOfFixtures('resend-sealed-anew');
    edit(folder, 'resend-sealed-anew', (json) => (json.steps[0].send.sequence = '5'));
    const { made } = await buildFixtures(folder, loadFixtures(folder));
    expect([...made].sort()).toEqual(['ecdh', 'escrow', 'rsa'].map((id) => `resend-sealed-anew/${id}`));
  });
});

describe('showing a case', () => {
  const shown = async (name: string, withSecrets: boolean): Promise<string> => {
    const fixture = fixtures.find((f) => f.name === name)!;
    return showCase(fixture, readBuiltCase(FIXTURES, name), materialOf(FIXTURES), withSecrets);
  };

  test('opens its tokens and masks every secret', async () => {
    const text = await shown('canary', false);
    expect(text).toContain('"sealedTo"');
    expect(text).toContain('"kind": "message"');
    for (const { text: password, value } of secretsOf(fixtures.find((f) => f.name === 'canary')!)) {
      if (password !== '') expect(text).not.toContain(password);
      if (value !== null) expect(text).not.toContain(value.subarray(0, 16).toString('hex'));
    }
  });

  test('shows them when asked to', async () => {
    expect(await shown('canary', true)).toContain('517209-212278-025487-235334-524337-605649-005247-503096');
  });
});

describe('choosing cases', () => {
  test('by name, by pattern, by tag; nothing chosen is an error', () => {
    const names = (pattern: string): string[] => selectFixtures(loaded, pattern).map((l) => l.fixture.name);
    expect(names('moved-disk')).toEqual(['moved-disk', 'moved-disk-claimed']);
    expect(names('*-claimed')).toEqual(['moved-disk-claimed']);
    expect(names('tpm')).toContain('policy-no-tpm');
    expect(() => names('no-such-case')).toThrow(/no case and no tag/);
  });
});
