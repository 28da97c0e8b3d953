import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadFixtures } from '../../src/replay/load-fixtures.js';
import { tempFolder } from '../support/temp.js';
import { copyOfFixtures, edit, type Editable } from './support.js';

/** The problems of a folder in which one case was edited. */
function problems(change: (json: Editable) => void, name = 'moved-disk'): string {
  const folder = copyOfFixtures(name);
  edit(folder, name, change);
  try {
    loadFixtures(folder);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a fixture that cannot be right is refused, with file, path and what to do', () => {
  test.each([
    [
      'a client that is not there',
      (j: Editable) => (j.steps[1].send.client = 'nobody'),
      /at steps\[1\]\.send\.client: no client "nobody".*old, new/,
    ],
    [
      'a step that is not there',
      (j: Editable) => (j.steps[1].after = ['nothing']),
      /at steps\[1\]\.after\[0\]: no step "nothing"/,
    ],
    [
      'a circle',
      (j: Editable) => ((j.steps[1].after = ['old']), (j.steps[0].after = ['new'])),
      /at steps\[0\]\.after: waits in a circle/,
    ],
    ['an id used twice', (j: Editable) => (j.steps[1].id = 'old'), /at steps\[1\]\.id: "old" is used twice/],
    [
      'a misspelt field',
      (j: Editable) => (j.steps[0].send.sequnce = '1'),
      /at steps\[0\]\.send: Unrecognized key: "sequnce"/,
    ],
    [
      'a sequence as a number',
      (j: Editable) => (j.steps[0].send.sequence = 7),
      /at steps\[0\]\.send\.sequence: /,
    ],
    [
      'two things in a step',
      (j: Editable) => (j.steps[0].operator = { block: 'old' }),
      /at steps\[0\]: .*exactly one of send, resend, register, operator/,
    ],
    [
      'no expectation',
      (j: Editable) => delete j.steps[0].expect,
      /at steps\[0\]: a step that sends needs "expect"/,
    ],
    [
      'another name than its file',
      (j: Editable) => (j.name = 'other'),
      /at name: must be the file's name, "moved-disk"/,
    ],
    ['a site that nobody makes', (j: Editable) => (j.site = 'mars'), /at site: /],
    [
      'rows of a step that is not there',
      (j: Editable) => (j.rows.messages = { x: 'nothing' }),
      /at rows\.messages: no step "x"/,
    ],
  ])('%s', (_, change, expected) => {
    expect(problems(change as (json: Editable) => void)).toMatch(expected);
  });

  test('all problems at once, one a line', () => {
    const text = problems((j) => {
      j.steps[0].send.client = 'x';
      j.steps[1].send.client = 'y';
    });
    expect(text.split('\n')).toHaveLength(2);
  });

  test('JSON that is none', () => {
    const folder = copyOfFixtures('moved-disk');
    writeFileSync(join(folder, 'cases/moved-disk.json'), '{"format": 1,,}');
    expect(() => loadFixtures(folder)).toThrow(/moved-disk\.json: not JSON: /);
  });

  test('two cases with one client id', () => {
    const folder = copyOfFixtures('tpm-present', 'tpm-absent');
    const id = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';
    for (const name of ['tpm-present', 'tpm-absent']) edit(folder, name, (j) => (j.clients.pc = { id }));
    expect(() => loadFixtures(folder)).toThrow(/client 6ba7b810.* is also used by case "tpm-absent"/);
  });

  test('a folder without cases', () => {
    expect(() => loadFixtures(tempFolder())).toThrow(/give the fixtures' folder with --fixtures/);
  });
});
