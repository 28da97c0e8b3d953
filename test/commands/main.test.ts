import { describe, expect, test } from 'vitest';
import { VERSION } from '../../src/ops/version.js';
import { Home } from './mpe.js';

const home = new Home();

describe('mpe', () => {
  test('tells its version and its commands, and ends with 0', async () => {
    expect(await home.mpe(['--version'])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
    const help = await home.mpe(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['site', 'secrets', 'enrolment-tokens'])
      expect(help.stdout).toContain(`  ${command} `);
  });

  test.each([
    ['nothing', []],
    ['an unknown command', ['nosuch']],
    ['an unknown subcommand', ['site', 'nosuch']],
    ['an unknown option', ['site', 'init', '--nosuch']],
    ['a missing argument', ['enrolment-tokens', 'revoke']],
    ['an argument too many', ['site', 'show', 'extra']],
    ['an option out of range', ['enrolment-tokens', 'create', '--uses', '0']],
  ])('given %s: says so with help on standard error, and ends with 2', async (_what, args) => {
    const { code, stdout, stderr } = await home.mpe(args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).not.toBe('');
    expect(stderr).not.toContain('    at ');
  });

  test('given a bad configuration: lists every problem, and ends with 2', async () => {
    const settings = { MPE_HOEM: 'x', MPE_LOG_LEVEL: 'loud' };
    const { code, stderr } = await home.mpe(['site', 'show'], settings);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^mpe: CONFIG_INVALID: /);
    expect(stderr).toContain('MPE_HOEM is no setting; did you mean MPE_HOME?');
    expect(stderr).toContain('MPE_LOG_LEVEL must be');
  });

  test('that fails says one line with its code, and a stack only when debugging', async () => {
    const plain = await home.mpe(['secrets', 'verify']);
    expect(plain.code).toBe(1);
    expect(plain.stderr).toMatch(/^mpe: KEY_FOLDER_INVALID: key folder .* does not exist.*\n$/);
    const debug = await home.mpe(['secrets', 'verify'], { MPE_LOG_LEVEL: 'debug' });
    expect(debug.stderr).toContain('    at ');
  });
});
